package config

import (
	"os"
	"strings"
	"testing"
)

// The socket is found in files that the daemon would refuse, and follows
// runtime_dir; what is wrong with runtime_dir is said once.
func TestControlSocket(t *testing.T) {
	for _, c := range []struct{ text, want, wrong string }{
		{"", "/run/neutron-ndp-proxy-agent/control.sock", ""},
		{"[ndp_proxy]\nruntime_dir = /a$$b\n", "/a$b/control.sock", ""},
		{"[ndp_proxy]\nruntime_dir = $state_path/x\n[DEFAULT]\nstate_path = /s\n", "/s/x/control.sock", ""},
		{"[ndp_proxy]\ncontrol_socket =\n", "", ""},
		{"[ndp_proxy]\ncontrol_socket = /x.sock\nnonsense = 1\nworkers = many\n garbage\n[", "/x.sock", ""},
		{"[ndp_proxy]\ncontrol_socket = x.sock\n", "", "a.ini:2: [ndp_proxy] control_socket: \"x.sock\" is not an absolute path"},
		{"[ndp_proxy]\ncontrol_socket = $nosuch\n", "", "nosuch"},
		{"[ndp_proxy]\nruntime_dir = rabbit://u:topsecret@h/\n", "", "is not a path"},
	} {
		file := write(t, t.TempDir(), "a.ini", c.text)
		got, _, err := ControlSocket(Args{Sources: []Source{File(file)}, Defaults: []Source{}})
		if got != c.want || (err == nil) != (c.wrong == "") || err != nil && (!strings.Contains(err.Error(), c.wrong) || strings.Contains(err.Error(), "topsecret")) {
			t.Errorf("%q: %q, %v; want %q %q", c.text, got, err, c.want, c.wrong)
		}
	}
	_, _, failure := loadText(t, "[ndp_proxy]\nruntime_dir = run\n")
	if strings.Count(failure, "\n") > 1 || !strings.Contains(failure, "runtime_dir") || strings.Contains(failure, "control_socket") {
		t.Errorf("a wrong runtime_dir: %s", failure)
	}
	_, _, failure = loadText(t, "[ndp_proxy]\ncontrol_socket = $runtime_dir.sock\n")
	if !strings.Contains(failure, "control_socket") {
		t.Errorf("a reference that leads nowhere: %s", failure)
	}
}

// What one may not read is told, and the rest is used; what is not there is an error.
func TestControlSocketUnread(t *testing.T) {
	dir := t.TempDir()
	ours := write(t, dir, "ours.ini", "[ndp_proxy]\ncontrol_socket = /x.sock\n")
	if err := os.Mkdir(dir+"/unreadable.conf", 0o700); err != nil {
		t.Fatal(err)
	}
	got, unread, err := ControlSocket(Args{Sources: []Source{File(dir + "/unreadable.conf"), File(ours)}, Defaults: []Source{}})
	if got != "/x.sock" || err != nil || unread == nil || !strings.Contains(unread.Error(), "unreadable.conf") {
		t.Errorf("%q, %v, %v", got, unread, err)
	}
	if _, _, err := ControlSocket(Args{Sources: []Source{File(dir + "/nosuch.ini")}, Defaults: []Source{}}); err == nil || !strings.Contains(err.Error(), "nosuch.ini") {
		t.Errorf("a file that is missing: %v", err)
	}
}
