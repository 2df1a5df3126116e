package secret

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v3"
)

const hunter = "hunter2hunter2"

// A secret, and what holds one in exported and unexported fields, printed in
// every way that the daemon's code can.
func TestIsNeverPrinted(t *testing.T) {
	type inside struct {
		Public  Text
		private Text
		list    []Text
	}
	s := New(hunter)
	if s.Reveal() != hunter || (Text{}).Reveal() != "" {
		t.Fatal("Reveal does not give the text")
	}
	in := inside{s, s, []Text{s}}
	var printed []string
	for _, v := range []any{s, &s, in, &in, []any{s}, map[string]Text{"k": s}} {
		for _, verb := range "vTsqdxXbcoOtUeEfFgGwp" {
			for _, flag := range []string{"", "+", "#", "0", " ", "-"} {
				printed = append(printed, fmt.Sprintf("%"+flag+string(verb), v))
			}
		}
		j, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		printed = append(printed, string(j), fmt.Sprint(v), fmt.Errorf("%w %v", fmt.Errorf("%v", v), v).Error())
	}
	x, err := xml.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	y, err := yaml.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	for _, encoder := range []zapcore.Encoder{zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig())} {
		zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&log), zapcore.DebugLevel)).Info("x",
			zap.Any("any", s), zap.Any("pointer", &s), zap.Reflect("in", in), zap.Stringer("s", s), zap.Any("list", in.list))
	}
	printed = append(printed, string(x), string(y), log.String(), cmp.Diff(in.list, []Text{}))
	for _, p := range printed {
		for _, form := range []string{hunter, hex.EncodeToString([]byte(hunter)), strings.ToUpper(hex.EncodeToString([]byte(hunter))), base64.StdEncoding.EncodeToString([]byte(hunter))} {
			if strings.Contains(p, form) {
				t.Errorf("the secret is in: %s", p)
			}
		}
	}
	if j, err := json.Marshal(in); err != nil || string(j) != `{"Public":"***"}` || string(y) != "'***'\n" {
		t.Errorf("JSON %s, YAML %s: a secret should be seen to be there (%v)", j, y, err)
	}
}

func TestEqual(t *testing.T) {
	if !New("a").Equal(New("a")) || New("a").Equal(New("b")) || !New("").Equal(Text{}) {
		t.Error("Equal does not compare the texts")
	}
}
