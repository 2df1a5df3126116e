package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v3"
)

const hunter = "hunter2hunter2"

// TestSecretIsNeverPrinted prints a secret, and structs that hold one in
// exported and unexported fields, in every way that the daemon's code can.
func TestSecretIsNeverPrinted(t *testing.T) {
	type inside struct {
		Public  Secret
		private Secret
		list    []Endpoint
	}
	s := NewSecret(hunter)
	if s.Reveal() != hunter || (Secret{}).Reveal() != "" {
		t.Fatal("Reveal does not give the text")
	}
	in := inside{s, s, []Endpoint{{"h", 1, "u", s}}}
	c := &Config{Transport: Transport{Hosts: in.list, VHost: "/"}}
	var printed []string
	for _, v := range []any{s, &s, in, &in, in.list, c, *c, c.Transport, []any{s}, map[string]Secret{"k": s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			printed = append(printed, fmt.Sprintf(verb, v))
		}
		j, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		printed = append(printed, string(j))
	}
	y, err := yaml.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&log), zapcore.DebugLevel)
	zap.New(core).Info("x", zap.Any("secret", s), zap.Reflect("in", in), zap.Any("config", c), zap.Object("object", c), zap.Stringer("s", s))
	printed = append(printed, string(y), log.String(), cmp.Diff(in.list, []Endpoint{}))
	for _, p := range printed {
		if strings.Contains(p, hunter) || strings.Contains(p, fmt.Sprintf("%x", hunter)) {
			t.Errorf("the secret is in: %s", p)
		}
	}
	if j, err := json.Marshal(in); err != nil || string(j) != `{"Public":"***"}` || string(y) != "'***'\n" {
		t.Errorf("JSON %s, YAML %s: a secret should be seen to be there (%v)", j, y, err)
	}
	if !strings.Contains(log.String(), "rabbit://u:***@h:1/%2F") {
		t.Errorf("the redacted URL is not logged: %s", log.String())
	}
}

func TestSecretEqual(t *testing.T) {
	if !NewSecret("a").Equal(NewSecret("a")) || NewSecret("a").Equal(NewSecret("b")) || !NewSecret("").Equal(Secret{}) {
		t.Error("Equal does not compare the texts")
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
	// Nor does a line that is no assignment.
	if _, _, failure := loadText(t, "[DEFAULT]\n"+hunter+"\n"); strings.Contains(failure, hunter) {
		t.Error(failure)
	}
}
