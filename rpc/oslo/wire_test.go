package oslo

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// capture is a message as it was on the wire.
type capture struct {
	AMQP struct {
		Exchange   string   `json:"exchange"`
		RoutingKey []string `json:"routing_key"`
		Properties struct {
			Expiration string `json:"expiration"`
		} `json:"properties"`
	} `json:"amqp"`
	Body    string         `json:"body_raw"`
	Message map[string]any `json:"message"`
}

const wireDir = "../neutron/testdata/wire"

func readCapture(t testing.TB, file string) capture {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var c capture
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return c
}

func captures(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(wireDir + "/*.json")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d captures in %s, error %v", len(files), wireDir, err)
	}
	return files
}
