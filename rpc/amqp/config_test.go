package amqp

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/rpc/secret"
)

// The password must not come out of an endpoint in any form of printing.
func TestSecretStaysSecret(t *testing.T) {
	e := Endpoint{Host: "mq1", User: "neutron", Password: secret.New("s3cr3t")}
	js, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Hosts: []Endpoint{e}}
	conn, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{
		fmt.Sprint(e), fmt.Sprintf("%v|%+v|%#v|%s|%q", e, e, e, e, e), fmt.Sprintf("%+v|%#v", cfg, cfg),
		fmt.Sprintf("%v|%s|%q|%#v", e.Password, e.Password, e.Password, e.Password), string(js),
		// Where fmt goes by reflection: unexported fields, and verbs for no string.
		printed(conn), printed(cfg), printed(&cfg), printed(e.Password),
	} {
		if strings.Contains(out, "s3cr3t") {
			t.Errorf("password shown in %s", out)
		}
	}
}

func printed(v any) string {
	var b strings.Builder
	for _, verb := range "vsqdxp" {
		for _, flag := range []string{"", "+", "#"} {
			fmt.Fprintf(&b, "%"+flag+string(verb)+"\n", v)
		}
	}
	return b.String()
}

func TestEndpointAddr(t *testing.T) {
	for _, c := range []struct {
		e    Endpoint
		want string
	}{
		{Endpoint{Host: "mq", Port: 5673}, "mq:5673"},
		{Endpoint{Host: "mq"}, "mq:5672"},
		{Endpoint{Host: "2001:db8::1", Port: 5671}, "[2001:db8::1]:5671"},
	} {
		if got := c.e.Addr(); got != c.want {
			t.Errorf("Addr() = %q, want %q", got, c.want)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "no broker"},
		{Config{Hosts: hosts("")}, "without a host name"},
		{Config{Hosts: []Endpoint{{Host: "mq", Port: 70000}}}, "70000"},
		{Config{Hosts: hosts("mq"), Failover: "random"}, `"random"`},
		{Config{Hosts: hosts("mq"), Login: "RABBIT-CR-DEMO"}, "RABBIT-CR-DEMO"},
	} {
		if _, err := New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New: %v, want an error with %s", err, c.want)
		}
	}
	if _, err := New(Config{Hosts: hosts("mq")}); err != nil {
		t.Errorf("New: %v", err)
	}
}

func TestHeartbeat(t *testing.T) {
	for threshold, want := range map[time.Duration]time.Duration{
		0:                0, // the broker's choice
		60 * time.Second: 10 * time.Second,
		9 * time.Second:  6 * time.Second,
		time.Second:      time.Second,
	} {
		if got := (Config{Heartbeat: threshold}).heartbeat(); got != want {
			t.Errorf("threshold %v: heartbeat %v, want %v", threshold, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain text, ümläut":  "plain text, ümläut",
		"a\x1b[31mb\r\nc\x00": `a\x1b[31mb\r\nc\x00`,
		"bad \xff utf":        `bad \xff utf`,
		"line\u2028sep":       `line\u2028sep`,
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %s, want %s", in, got, want)
		}
	}
	long := Clean(strings.Repeat("ü", 1000))
	if len(long) > maxText+3 || !strings.HasSuffix(long, "ü...") {
		t.Errorf("Clean of a long text: %d bytes, ends %q", len(long), long[len(long)-8:])
	}
}
