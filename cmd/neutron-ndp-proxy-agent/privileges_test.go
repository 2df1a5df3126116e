package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRefusal(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	put(t, file, "")
	const all = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW | 1<<unix.CAP_SYS_ADMIN
	well := surroundings{capabilities: all, netnsDir: dir, settings: dir, announce: true}
	for name, c := range map[string]struct {
		change func(s *surroundings)
		want   []string
	}{
		"well":               {change: func(*surroundings) {}},
		"no directory yet":   {change: func(s *surroundings) { s.netnsDir += "/none" }},
		"no IPv6 at all":     {change: func(s *surroundings) { s.settings += "/none" }},
		"no NET_ADMIN":       {change: func(s *surroundings) { s.capabilities &^= 1 << unix.CAP_NET_ADMIN }, want: []string{"CAP_NET_ADMIN", "AmbientCapabilities", "setcap"}},
		"no NET_RAW":         {change: func(s *surroundings) { s.capabilities &^= 1 << unix.CAP_NET_RAW }, want: []string{"CAP_NET_RAW", "announce = false"}},
		"NET_RAW not needed": {change: func(s *surroundings) { s.capabilities, s.announce = all&^(1<<unix.CAP_NET_RAW), false }},
		"nothing":            {change: func(s *surroundings) { s.capabilities = 0 }, want: []string{"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_ADMIN", "setns"}},
		"not a directory":    {change: func(s *surroundings) { s.netnsDir = file }, want: []string{"netns_dir", file}},
		"two at once":        {change: func(s *surroundings) { s.netnsDir, s.capabilities = file, all&^(1<<unix.CAP_SYS_ADMIN) }, want: []string{"netns_dir", "CAP_SYS_ADMIN"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := well
			c.change(&s)
			err := s.refusal()
			if (err != nil) != (len(c.want) > 0) {
				t.Fatalf("refusal %v", err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q lacks %q", err, w)
				}
			}
		})
	}
}

// The real program, with the real thing missing.
func TestRefusesPolitely(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: gives up capabilities, mounts")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ini := filepath.Join(t.TempDir(), "agent.ini")
	put(t, ini, idle(t, ""))
	for name, c := range map[string]struct {
		by       []string
		want     []string
		unwanted string
	}{
		"capabilities": {
			by:   []string{"setpriv", "--bounding-set=-net_raw,-sys_admin", "--"},
			want: []string{"CAP_NET_RAW is missing", "CAP_SYS_ADMIN is missing"}, unwanted: "CAP_NET_ADMIN is missing",
		},
		"a read-only /proc/sys": {
			by:   []string{"unshare", "--mount", "sh", "-c", `mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec "$@"`, "-"},
			want: []string{"/proc/sys/net/ipv6/conf is read-only", "ProtectKernelTunables"}, unwanted: "missing",
		},
	} {
		t.Run(name, func(t *testing.T) {
			line := append(c.by, self, "--config-file", ini)
			cmd := exec.CommandContext(t.Context(), line[0], line[1:]...)
			cmd.Env = append(os.Environ(), playDaemon+"=1")
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != exitNoPermission {
				t.Fatalf("%v, want exit code %d\n%s", err, exitNoPermission, out)
			}
			for _, w := range c.want {
				if !strings.Contains(string(out), w) {
					t.Errorf("%q lacks %q", out, w)
				}
			}
			if strings.Contains(string(out), c.unwanted) {
				t.Errorf("%q has %q", out, c.unwanted)
			}
		})
	}
}
