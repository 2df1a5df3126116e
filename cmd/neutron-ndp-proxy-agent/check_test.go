package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckCommand(t *testing.T) {
	dir := t.TempDir()
	well, ill := filepath.Join(dir, "well.ini"), filepath.Join(dir, "ill.ini")
	put(t, well, idle(t, "host = net1\n"))
	put(t, ill, idle(t, "host = net1\n")+"[ndp_proxy]\nworkerz = 1\n")
	for name, c := range map[string]struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		"well":      {[]string{"--config-file", well}, exitOK, "ok    files", ""},
		"ill":       {[]string{"--config-file", ill}, exitFailed, "fail  options       " + ill + ":9: [ndp_proxy] workerz: unknown option; did you mean workers?", ""},
		"in colour": {[]string{"--color=always", "--config-file", ill}, exitFailed, "\x1b[31mfail\x1b[m  options", ""},
		"JSON":      {[]string{"--json", "--config-file", ill}, exitFailed, `"result": "fail"`, ""},
		"no file":   {[]string{"--config-file", dir + "/nosuch.ini"}, exitFailed, "cannot read config file " + dir + "/nosuch.ini", ""},
		"argument":  {[]string{"router"}, exitUsage, "", `unexpected argument "router"`},
		"flag":      {[]string{"--nonsense"}, exitUsage, "", "nonsense"},
		"help":      {[]string{"--help"}, exitOK, "", "-config-file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, complaints bytes.Buffer
			code := run(append([]string{"check"}, c.args...), &out, &complaints)
			if code != c.code || !strings.Contains(out.String(), c.stdout) || !strings.Contains(complaints.String(), c.stderr) ||
				(c.stdout == "") != (out.Len() == 0) || (c.stderr == "") != (complaints.Len() == 0) {
				t.Errorf("code %d, want %d\n%s%s", code, c.code, out.String(), complaints.String())
			}
		})
	}
}

// A machine without a capability is told from a process without it.
func TestNeeds(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: gives up capabilities")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ini := filepath.Join(t.TempDir(), "agent.ini")
	put(t, ini, idle(t, ""))
	cmd := exec.CommandContext(t.Context(), "setpriv", "--bounding-set=-net_raw", "--", self, "check", "--config-file", ini)
	cmd.Env = append(os.Environ(), playDaemon+"=1") // without it the tests would run, this one among them
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "fail  capabilities  CAP_NET_RAW can be had by nobody here") {
		t.Errorf("%v\n%s", err, out)
	}
}
