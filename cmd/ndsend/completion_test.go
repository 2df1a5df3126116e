package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

const completionDir = "../../configs/completion"

// complete returns what bash offers for a command line that ends at the cursor.
// Each is what bash would put on the line.
func complete(t *testing.T, line string) []string {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here to complete")
	}
	const script = `set -u; source "$1"; COMP_LINE=$2 COMP_POINT=${#2}
complete -p ndsend >/dev/null && _ndsend && printf '%s\n' "${COMPREPLY[@]}"; exit 0`
	out, err := exec.Command(bash, "--norc", "-c", script, "bash", filepath.Join(completionDir, "ndsend.bash"), line).CombinedOutput()
	if err != nil {
		t.Fatalf("bash: %v: %s", err, out)
	}
	offered := strings.Fields(string(out))
	slices.Sort(offered)
	return offered
}

func TestBashCompletion(t *testing.T) {
	l := newLink(t)
	// A name that would do harm if a shell expanded it.
	ip(t, "-n", l.ours, "link", "add", "$(exit)`x`", "type", "veth", "peer", "name", "qr-2")
	for _, c := range []struct {
		line string
		want []string
	}{
		{"ndsend -", nil}, // may be all of an address
		{"ndsend --", long(t)},
		{"ndsend --ver", []string{"--verify", "--version"}},
		{"ndsend --flags ", []string{"none", "override", "override,router", "router"}},
		{"ndsend -f overr", []string{"override", "override,router"}},
		{"ndsend --flags=r", []string{"router"}},
		{"ndsend --netns " + l.ours, []string{l.ours}},
		{"ndsend --netns=" + l.upstream, []string{l.upstream}},
		{"ndsend -n /run/netn", []string{"/run/netns"}},
		{"ndsend --count ", nil},
		{"ndsend 2001:db8::", nil},
		{"ndsend -n " + l.ours + " 2001:db8::5 ", []string{"\\$\\(exit\\)\\`x\\`", "lo", "qg-1", "qr-2"}},
		{"ndsend -n" + l.ours + " 2001:db8::5 q", []string{"qg-1", "qr-2"}},
		{"ndsend --netns=" + l.upstream + " --count 3 2001:db8::5 2001:db8::6 u", []string{"up0"}},
		{"ndsend --netns /run/netns/" + l.upstream + " - u", []string{"up0"}},
		{"ndsend --netns absent 2001:db8::5 u", nil},
		{"ndsend 2001:db8::5 l", []string{"lo"}},
	} {
		t.Run(c.line, func(t *testing.T) {
			if diff := cmp.Diff(c.want, complete(t, c.line), cmp.Transformer("none", func(s []string) string { return strings.Join(s, " ") })); diff != "" {
				t.Errorf("offered (-want +got):\n%s", diff)
			}
		})
	}
}

// long are the long options.
func long(t *testing.T) []string {
	t.Helper()
	var all []string
	(&options{}).flagSet().VisitAll(func(f *pflag.Flag) { all = append(all, "--"+f.Name) })
	slices.Sort(all)
	return all
}

// Each shell's completion and the help know each option, by its long name and
// its letter.
func TestOptionsAreKnown(t *testing.T) {
	texts := map[string]string{"--help": usage}
	for _, name := range []string{"ndsend.bash", "_ndsend", "ndsend.fish"} {
		text, err := os.ReadFile(filepath.Join(completionDir, name))
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	for name, text := range texts {
		prefix := map[bool][2]string{true: {"-l ", "-s "}, false: {"--", "-"}}[name == "ndsend.fish"]
		(&options{}).flagSet().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(text, prefix[0]+f.Name) || f.Shorthand != "" && !strings.Contains(text, prefix[1]+f.Shorthand) {
				t.Errorf("%s does not know --%s, -%s", name, f.Name, f.Shorthand)
			}
		})
	}
}

// The shells that are here read their files.
func TestCompletionSyntax(t *testing.T) {
	for _, c := range [][]string{
		{"bash", "-n", "ndsend.bash"}, {"zsh", "-n", "_ndsend"}, {"fish", "--no-execute", "ndsend.fish"},
	} {
		t.Run(c[0], func(t *testing.T) {
			shell, err := exec.LookPath(c[0])
			if err != nil {
				t.Skipf("no %s here", c[0])
			}
			if out, err := exec.Command(shell, c[1], filepath.Join(completionDir, c[2])).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
