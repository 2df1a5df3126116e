package config

import "testing"

// What can't be listened on is refused at the start, where somebody reads it.
func TestMetricsListen(t *testing.T) {
	for value, good := range map[string]bool{
		"": true, "localhost:9697": true, "127.0.0.1:1": true, "[::1]:65535": true, "[fe80::1%eth0]:9697": true, ":9697": true,
		"unix:/run/x/metrics.sock": true, "node-1.example.org:9697": true,
		"9697": false, "localhost": false, "localhost:": false, "localhost:0": false, "localhost:65536": false, "::1:9697": false,
		"http://localhost:9697": false, "unix:metrics.sock": false, "unix:": false, "localhost:9697/metrics": false, "a b:1": false,
	} {
		c, _, failure := loadText(t, "[ndp_proxy]\nmetrics_listen = "+value+"\n")
		if good != (failure == "") {
			t.Errorf("%q: %q", value, failure)
		}
		if good && failure == "" && c.NDPProxy.MetricsListen != value {
			t.Errorf("%q became %q", value, c.NDPProxy.MetricsListen)
		}
	}
}
