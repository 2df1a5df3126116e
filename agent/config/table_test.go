package config

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSample keeps configs/ndp_proxy_agent.ini what the table says, and shows
// that the file, with every option switched on, is what no file means.
func TestSample(t *testing.T) {
	var b strings.Builder
	if err := GenerateSample(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("..", "..", "configs", "ndp_proxy_agent.ini"), b.String())

	active := 0
	lines := strings.Split(b.String(), "\n")
	for i, l := range lines {
		if len(l) > 1 && l[0] == '#' && l[1] != ' ' {
			lines[i] = l[1:]
			active++
		}
		if len(l) > 79 {
			t.Errorf("line %d is %d wide", i+1, len(l))
		}
	}
	if active != len(Options()) {
		t.Errorf("%d options in the sample, %d in the table", active, len(Options()))
	}
	c, warnings, failure := loadText(t, strings.Join(lines, "\n"))
	if failure != "" || len(warnings) > 0 {
		t.Fatalf("%s %v", failure, warnings)
	}
	plain, _, _ := loadText(t, "")
	if diff := cmp.Diff(plain.NDPProxy, c.NDPProxy); diff != "" {
		t.Errorf("the sample's values are not the defaults: -defaults +sample\n%s", diff)
	}
}

// TestReference keeps docs/options.md what the table says.
func TestReference(t *testing.T) {
	var b strings.Builder
	if err := GenerateReference(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("..", "..", "docs", "options.md"), b.String())
	for _, r := range rows() {
		if heading, cell := "### `"+r.Name+"`", "| `["+r.Group+"]` | `"+r.Name+"` |"; !strings.Contains(b.String(), heading) && !strings.Contains(b.String(), cell) {
			t.Errorf("%v is not in the reference", r.name())
		}
	}
}

// TestManual keeps the manual page what the table says, and one that man can show.
func TestManual(t *testing.T) {
	var b strings.Builder
	if err := GenerateManual(&b); err != nil {
		t.Fatal(err)
	}
	page := filepath.Join("..", "..", "docs", "man", "ndp_proxy_agent.ini.5")
	golden(t, page, b.String())
	for _, o := range Options() {
		if !strings.Contains(b.String(), ".TP\n.B "+o.Name+"\n") {
			t.Errorf("%s is not in the manual page", o.Name)
		}
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("no groff here")
	}
	if out, err := exec.Command(groff, "-man", "-Tutf8", "-ww", "-z", page).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%s", err, out)
	}
}

// TestTable checks what the table promises: it is complete, its defaults obey
// its own rules, and set and get are inverse.
func TestTable(t *testing.T) {
	seen := map[name]bool{}
	nothing := newLayered(nil, nil)
	for _, r := range rows() {
		for _, n := range append([]name{r.name()}, r.aliases...) {
			if seen[n] {
				t.Errorf("%v is in the table twice", n)
			}
			seen[n] = true
		}
		tg := &target{Config: &Config{}}
		standing, err := nothing.value(r.name())
		if err != nil {
			t.Errorf("%v: the default: %v", r.name(), err)
		}
		if hostDefault := r.nonEmpty && r.Default == ""; !hostDefault {
			if err := r.set(tg, standing.text); err != nil {
				t.Errorf("%v: the default: %v", r.name(), err)
			}
		}
		if got, want := r.get(tg), standing.text; got != want && got+".0" != want && !r.secret() {
			t.Errorf("%v: default %q reads back as %q", r.name(), want, got)
		}
		if r.Group == groupNDPProxy && (r.Help == "" || r.Since == "" || r.Default == "" && r.Kind != List && !r.off) {
			t.Errorf("%v lacks help, since or default", r.name())
		}
	}
}

func TestUplinks(t *testing.T) {
	c, _, failure := loadText(t, "[ndp_proxy]\nuplinks = enp1s0f0, bond*,\n")
	if failure != "" {
		t.Fatal(failure)
	}
	if diff := cmp.Diff([]string{"enp1s0f0", "bond*"}, c.NDPProxy.Uplinks); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
