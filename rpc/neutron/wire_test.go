package neutron

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"neutron-ndp-proxy-agent/rpc/oslo"
)

var update = flag.Bool("update", false, "rewrite testdata/golden")

// capture is a message as it was on the wire.
type capture struct {
	AMQP struct {
		Exchange   string   `json:"exchange"`
		RoutingKey []string `json:"routing_key"`
		Properties struct {
			Expiration string `json:"expiration"`
		} `json:"properties"`
	} `json:"amqp"`
	Body string `json:"body_raw"`
}

func readCapture(t testing.TB, name string) capture {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/wire", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var c capture
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return c
}

// request is a captured call or cast.
func request(t testing.TB, name string) *oslo.Request {
	t.Helper()
	r, err := oslo.DecodeRequest([]byte(readCapture(t, name).Body))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return r
}

// result is a captured answer.
func result(t testing.TB, name string) json.RawMessage {
	t.Helper()
	r, err := oslo.DecodeReply([]byte(readCapture(t, name).Body))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return r.Result
}

// golden compares v with its stored JSON form.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	file := filepath.Join("testdata/golden", name+".json")
	if *update {
		if err := os.MkdirAll("testdata/golden", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (make it with -update and read it)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-golden +got):\n%s", file, diff)
	}
}

var ipCompare = cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})
