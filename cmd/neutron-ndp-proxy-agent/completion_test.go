package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// shells complete a line that ends at the cursor: their program gets the completion
// file and the words, the program's own first, and prints what it offers.
var shells = map[string]struct{ file, script string }{
	"bash": {"neutron-ndp-proxy-agent.bash", `set -u; source "$1"; shift
complete -p neutron-ndp-proxy-agent >/dev/null; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_neutron_ndp_proxy_agent "$1"; printf '%s\n' ${COMPREPLY[@]+"${COMPREPLY[@]}"}`},
	// What it would have zsh's own functions offer.
	"zsh": {"_neutron-ndp-proxy-agent", `file=$1; shift; words=("$@") CURRENT=$# PREFIX=$@[-1]
_call_program() { shift; "$@" }
_describe() { print -rl -- ${(P)${@[-1]}%%:*} | grep -- "^$PREFIX" }
_arguments() { shift 2; print -rl -- ${${${@#\*}%%\[*}%=} | grep -- "^-" | grep -- "^$PREFIX" }
set --; source $file; true`},
	"fish": {"neutron-ndp-proxy-agent.fish", `source $argv[1]; complete -C (string join ' ' -- $argv[2..-1]) | string replace -r '\t.*' ''; true`},
}

// The shells offer what the program has, whatever it gets.
func TestCompletion(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "neutron-ndp-proxy-agent")
	if err := os.WriteFile(program, fmt.Appendf(nil, "#!/bin/sh\n%s=1 exec '%s' \"$@\"\n", playDaemon, self), 0o700); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	slices.Sort(names)
	type line struct {
		words []string
		want  []string
	}
	lines := []line{{words: []string{""}, want: names}, {words: []string{"sta"}, want: []string{"status"}}, {words: []string{"--"}, want: options(t)},
		{words: []string{"status", "--js"}, want: []string{"--json"}}}
	for _, n := range names {
		lines = append(lines, line{words: []string{n, "--"}, want: options(t, n)}, line{words: []string{n, "--config-file", "x.ini", "--"}, want: options(t, n)})
	}
	for name, s := range shells {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shell, err := exec.LookPath(name)
			if err != nil {
				t.Skipf("no %s here", name)
			}
			file := filepath.Join("..", "..", "configs", "completion", s.file)
			for _, l := range lines {
				offered := complete(t, shell, s.script, file, append([]string{program}, l.words...))
				if diff := cmp.Diff(l.want, offered); diff != "" {
					t.Errorf("%q (-want +offered):\n%s", l.words, diff)
				}
			}
		})
	}
}

// The value of an option: a file, a directory.
func TestCompletionOfValues(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "neutron-ndp-proxy-agent")
	if err := os.WriteFile(program, fmt.Appendf(nil, "#!/bin/sh\n%s=1 exec '%s' \"$@\"\n", playDaemon, self), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "neutron.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here")
	}
	file := filepath.Join("..", "..", "configs", "completion", "neutron-ndp-proxy-agent.bash")
	for option, want := range map[string][]string{"--config-file": {program, filepath.Join(dir, "neutron.d")}, "--config-dir": {filepath.Join(dir, "neutron.d")}} {
		slices.Sort(want)
		for _, words := range [][]string{{program, "status", option, dir + "/neu"}, {program, option, "=", dir + "/neu"}} {
			if diff := cmp.Diff(want, complete(t, shell, shells["bash"].script, file, words)); diff != "" {
				t.Errorf("%q (-want +offered):\n%s", words, diff)
			}
		}
	}
}

func complete(t *testing.T, shell, script, file string, words []string) []string {
	t.Helper()
	first := map[string][]string{"bash": {"--norc", "-c", script, "bash"}, "zsh": {"-f", "-c", script, "zsh"}, "fish": {"--no-config", "-c", script}}[filepath.Base(shell)]
	cmd := exec.Command(shell, slices.Concat(first, []string{file}, words)...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("%s: %v: %s", shell, err, complaints.String())
	}
	offered := strings.Fields(string(out))
	slices.Sort(offered)
	return offered
}

// options are those that the program, or one of its commands, says it has.
func options(t *testing.T, command ...string) []string {
	t.Helper()
	var said bytes.Buffer
	if code := run(append(command, "-h"), &said, &said); code != exitOK {
		t.Fatalf("%v -h: exit code %d", command, code)
	}
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^  -([a-z-]+)( .*)?$`).FindAllStringSubmatch(said.String(), -1) {
		all = append(all, "--"+m[1])
	}
	if !slices.Contains(all, "--config-file") {
		t.Fatalf("%v -h: %s", command, said.String())
	}
	slices.Sort(all)
	return all
}
