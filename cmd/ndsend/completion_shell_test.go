package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What stands on the line after the tab key, in a bash that reads from a
// terminal: it puts an answer in the place of what follows the last of its word
// breaks, which the function that answers cannot see.
func TestBashCompletesBehindColons(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	for _, tool := range []string{"bash", "script"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s here", tool)
		}
	}
	name := fmt.Sprintf("nd%d:a@b=c", os.Getpid())
	ip(t, "netns", "add", name)
	t.Cleanup(func() { ip(t, "netns", "delete", name) })
	file, err := filepath.Abs(filepath.Join(completionDir, "ndsend.bash"))
	if err != nil {
		t.Fatal(err)
	}
	for _, typed := range []string{name[:len(name)-8], name[:len(name)-6], name[:len(name)-5], name[:len(name)-3], name[:len(name)-2], name[:len(name)-1]} {
		for _, option := range []string{"-n ", "--netns="} {
			t.Run(option+typed, func(t *testing.T) {
				t.Parallel()
				cmd := exec.Command("script", "-qec", "bash --norc --noprofile -i", "/dev/null")
				cmd.Env = append(os.Environ(), "PS1=", "TERM=dumb", "HISTFILE=")
				// One line at a time is enough for readline.
				cmd.Stdin = strings.NewReader("source " + file + "; ndsend() { printf '<%s>' \"$@\"; echo; }\n" +
					"ndsend " + option + typed + "\t\nexit\n")
				done := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
				defer done.Stop()
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				want := "<" + strings.Replace(option, " ", "><", 1) + name + ">"
				if !strings.Contains(string(out), want) {
					t.Errorf("no %s in:\n%s", want, out)
				}
			})
		}
	}
}

// fish offers the interfaces of the namespace that the line names in any way.
func TestFishCompletion(t *testing.T) {
	fish, err := exec.LookPath("fish")
	if err != nil {
		t.Skip("no fish here")
	}
	l := newLink(t)
	for _, netns := range []string{"-n " + l.upstream, "-n" + l.upstream, "--netns " + l.upstream, "--netns=" + l.upstream} {
		cmd := exec.Command(fish, "--no-config", "-c", `source $argv[1]; complete -C $argv[2]`,
			filepath.Join(completionDir, "ndsend.fish"), "ndsend "+netns+" 2001:db8::5 ")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var offered []string
		for line := range strings.Lines(string(out)) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			offered = append(offered, word)
		}
		slices.Sort(offered)
		if diff := cmp.Diff([]string{"lo", "up0"}, offered); diff != "" {
			t.Errorf("%s: offered (-want +got):\n%s", netns, diff)
		}
	}
}
