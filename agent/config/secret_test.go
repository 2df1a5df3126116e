package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"neutron-ndp-proxy-agent/rpc/secret"
)

const hunter = "hunter2hunter2"

// The configuration as a whole, which the daemon may print or log.
func TestConfigIsPrintedWithoutPasswords(t *testing.T) {
	c := &Config{Transport: Transport{Hosts: []Endpoint{{"h", 1, "u", secret.New(hunter)}}, VHost: "/"}}
	var log strings.Builder
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&log), zapcore.DebugLevel)
	zap.New(core).Info("x", zap.Any("config", c), zap.Any("value", *c), zap.Object("object", c))
	printed := []string{log.String()}
	for _, v := range []any{c, *c, c.Transport, c.Transport.Hosts, c.Transport.Hosts[0]} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			printed = append(printed, fmt.Sprintf(verb, v))
		}
		j, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		printed = append(printed, string(j))
	}
	for _, p := range printed {
		if strings.Contains(p, hunter) || strings.Contains(p, fmt.Sprintf("%x", hunter)) {
			t.Errorf("the secret is in: %s", p)
		}
	}
	if !strings.Contains(log.String(), "rabbit://u:***@h:1/%2F") {
		t.Errorf("the redacted URL is not logged: %s", log.String())
	}
}

// TestLoadNeverPrintsThePassword goes through Load: what it returns, and what
// it complains about, for URLs that are right and wrong.
func TestLoadNeverPrintsThePassword(t *testing.T) {
	for _, u := range []string{
		"rabbit://u:" + hunter + "@h/", "rabbit://u:" + hunter + "@h1,h2/?bogus=1", "rabbit://u:" + hunter + "/x@h/",
		"rabbit://u:" + hunter, "amqp://u:" + hunter + "@h", "u:" + hunter + "@h", "rabbit://u:p$" + hunter + "@h/",
		"rabbit://u:p@h/?ssl=" + hunter, "rabbit://u:p@h/?" + hunter + "=1", "rabbit://u:p,x" + hunter + "@h/",
		"rabbit://u:12," + hunter + "@h/", "rabbit://u:12,x:" + hunter + "@h/", "rabbit://u:p@h1,u:p," + hunter + "@h2/",
	} {
		c, warnings, failure := loadText(t, "[DEFAULT]\ntransport_url = "+u+"\n")
		shown := fmt.Sprint(c, warnings, failure)
		if strings.Contains(shown, hunter) {
			t.Errorf("%s: printed: %s", u, shown)
		}
	}
	// Nor do other options that got hold of it, by a reference or a wrong line.
	for _, text := range []string{
		"host = $transport_url", "host = $transport_url $transport_url", "agent_mode = ${transport_url}", "use_json = $transport_url",
		"rpc_response_timeout = $transport_url", "log_file = $transport_url", "state_path = $transport_url", "[agent]\nextensions = $transport_url",
		"[agent]\nreport_interval = $transport_url", "[ndp_proxy]\nworkers = $transport_url", "[ndp_proxy]\nuplinks = $transport_url",
		"[ndp_proxy]\nnetns_dir = $transport_url", "[ndp_proxy]\ntable = $transport_url", "[ndp_proxy]\nsource = $transport_url",
		"[ndp_proxy]\nworkers = 1\n" + hunter + "@h2:5672/", "[ndp_proxy]\n" + hunter + "!=1", "[ndp_proxy]\ntransport_url = rabbit://u:" + hunter + "@h/",
		"[ndp_proxy]\n u:" + hunter + "@h2/", "[oslo_messaging_rabbit]\nssl = $transport_url", "[oslo_messaging_rabbit]\nssl = 1\nssl_version = $transport_url",
		"[oslo_messaging_rabbit]\nssl = 1\nssl_ca_file = $transport_url", "[oslo_messaging_rabbit]\nssl = 1\nssl_cert_file = $transport_url",
		"[oslo_messaging_rabbit]\nrabbit_login_method = $transport_url", "[oslo_messaging_rabbit]\nrabbit_password = " + hunter,
	} {
		c, warnings, failure := loadText(t, "[DEFAULT]\ntransport_url = rabbit://u:"+hunter+"@h/\n"+text+"\n")
		shown := fmt.Sprint(c, warnings, failure)
		if strings.Contains(shown, hunter) {
			t.Errorf("%s: printed: %s", text, shown)
		}
	}
	// Nor does a line that is no assignment.
	if _, _, failure := loadText(t, "[DEFAULT]\n"+hunter+"\n"); strings.Contains(failure, hunter) {
		t.Error(failure)
	}
}
