package main

import (
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

const manual = "../../docs/man/ndsend.8"

// manualWords is the manual without its markup, as far as that is in words.
func manualWords(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(`\-`, "-", `\fR, \fP`, ", ", `"`, "").Replace(string(text))
}

// The manual has each option and each field of the JSON objects.
func TestManualIsComplete(t *testing.T) {
	words := manualWords(t)
	(&options{}).flagSet().VisitAll(func(f *pflag.Flag) {
		if !strings.Contains(words, "--"+f.Name) || f.Shorthand != "" && !strings.Contains(words, "-"+f.Shorthand+", --"+f.Name) && f.Name != "help" {
			t.Errorf("no word of --%s", f.Name)
		}
	})
	_, objects, _ := strings.Cut(words, ".SH JSON OBJECTS\n")
	objects, _, _ = strings.Cut(objects, "\n.SH ")
	known := make(map[string]bool)
	for line := range strings.Lines(objects) {
		if strings.HasPrefix(line, ".B") {
			for word := range strings.FieldsFuncSeq(line, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' }) {
				known[word] = true
			}
		}
	}
	for _, object := range []any{announced{}, previewed{}, verified{}, missing{}} {
		for _, name := range fields(reflect.TypeOf(object)) {
			if !known[name] {
				t.Errorf("no word of the field %s of %T", name, object)
			}
		}
	}
}

// fields are the names that a type's JSON objects have.
func fields(of reflect.Type) []string {
	var names []string
	for i := range of.NumField() {
		field := of.Field(i)
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
			continue
		}
		inner := field.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		names = append(names, fields(inner)...)
	}
	return names
}

// The formatter has nothing to say against it.
func TestManualFormats(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("no groff here")
	}
	out, err := exec.Command(groff, "-man", "-Tutf8", "-ww", "-z", manual).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}
