package preflight

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/agent/config"
)

// Unit holds the properties of the daemon's unit by the names of `systemctl show`,
// drop-ins included.
type Unit map[string]string

var (
	// ErrNoSystemd: this machine, or this container, was not booted by systemd.
	ErrNoSystemd = errors.New("systemd does not run here")
	errNoSocket  = errors.New("control_socket is empty")
)

// defaultUser and defaultGroup are the shipped unit's.
const (
	defaultUser  = "neutron-ndp-proxy"
	defaultGroup = "neutron"
)

// shipped are the settings whose weakening is worth a word. A later systemd may
// know more of them than an older one; what it does not show is not compared.
func shipped() []struct{ property, value string } {
	return []struct{ property, value string }{
		{"NoNewPrivileges", "yes"}, {"ProtectSystem", "strict"}, {"ProtectHome", "yes"}, {"PrivateTmp", "yes"}, {"PrivateMounts", "yes"},
		{"ProtectKernelModules", "yes"}, {"ProtectKernelLogs", "yes"}, {"ProtectControlGroups", "yes"}, {"ProtectClock", "yes"},
		{"ProtectProc", "invisible"}, {"RestrictNamespaces", "net"}, {"RestrictRealtime", "yes"}, {"RestrictSUIDSGID", "yes"},
		{"MemoryDenyWriteExecute", "yes"}, {"LockPersonality", "yes"}, {"LimitCORE", "0"},
	}
}

// breaking are settings with which the daemon can't work, in the order of systemd.exec(5).
func breaking() []struct{ property, value, why string } {
	return []struct{ property, value, why string }{
		{"ProtectKernelTunables", "yes", "proxy_ndp is written below /proc/sys"},
		{"ProcSubset", "pid", "it hides /proc/sys"},
		{"PrivateNetwork", "yes", "the broker is not in there"},
		{"PrivateUsers", "yes", "capabilities do not count outside"},
	}
}

func (x *examination) installed() bool {
	return x.unitErr == nil && x.unit["LoadState"] != "" && x.unit["LoadState"] != "not-found"
}

// command is the program and arguments of ExecStart=.
func (u Unit) command() []string {
	_, rest, found := strings.Cut(u["ExecStart"], "argv[]=")
	if !found {
		return nil
	}
	argv, _, _ := strings.Cut(rest, " ; ")
	return strings.Fields(argv)
}

// sources is what the daemon of the unit reads.
func (u Unit) sources() []config.Source { return sourcesOf(u.command()) }

// sourcesOf takes the files and directories out of an agent's command line.
func sourcesOf(argv []string) []config.Source {
	var out []config.Source
	for i, a := range argv {
		for option, dir := range map[string]bool{"config-file": false, "config-dir": true} {
			name, path, inline := strings.Cut(strings.TrimLeft(a, "-"), "=")
			switch {
			case name != option || !strings.HasPrefix(a, "-"):
			case inline:
				out = append(out, config.Source{Path: path, Dir: dir})
			case i+1 < len(argv):
				out = append(out, config.Source{Path: argv[i+1], Dir: dir})
			}
		}
	}
	return out
}

const showUnit = "systemctl cat " + program + " shows which file says it; docs/security.md what each is for"

func (x *examination) unitState(context.Context) []Line {
	switch {
	case x.alone():
		return []Line{ok("%v: who starts the daemon gives it what the unit would", x.unitErr)}
	case x.unitErr != nil:
		return []Line{notChecked("ask as root", "%v", x.unitErr)}
	case !x.installed():
		return []Line{warn("docs/install.md", "the unit is not installed")}
	}
	lines := []Line{x.unitActivity()}
	u := x.unit
	for _, b := range breaking() {
		if u[b.property] == b.value {
			lines = append(lines, fail(showUnit, "%s=%s: %s", b.property, b.value, b.why))
		}
	}
	var weaker []string
	for _, s := range shipped() {
		if has, known := u[s.property]; known && has != s.value {
			weaker = append(weaker, fmt.Sprintf("%s=%s (shipped: %s)", s.property, has, s.value))
		}
	}
	if u["User"] == "" || u["User"] == "root" {
		weaker = append(weaker, "it runs as root (shipped: "+defaultUser+")")
	}
	if u["SystemCallFilter"] == "" {
		if _, known := u["SystemCallFilter"]; known {
			weaker = append(weaker, "no SystemCallFilter=")
		}
	}
	if len(weaker) > 0 {
		from := ""
		if d := u["DropInPaths"]; d != "" {
			from = "; drop-ins: " + d
		}
		lines = append(lines, warn(showUnit, "weaker than as shipped: %s%s", strings.Join(weaker, ", "), from))
	}
	if u["NeedDaemonReload"] == "yes" {
		lines = append(lines, warn("systemctl daemon-reload", "the unit's files are newer than what systemd has read"))
	}
	return lines
}

func (x *examination) unitActivity() Line {
	u := x.unit
	state := fmt.Sprintf("%s, %s (%s)", u["UnitFileState"], u["ActiveState"], u["SubState"])
	switch {
	case u["LoadState"] != "loaded":
		return fail("systemctl status "+program, "the unit is not loaded: %s", u["LoadState"])
	case u["ActiveState"] == "failed":
		return fail("journalctl -u "+program+" -n 20 says why; when that is mended: systemctl restart "+program, "%s, exit status %s", state, u["ExecMainStatus"])
	case u["ActiveState"] == "inactive":
		return warn("systemctl enable --now "+program, "%s", state)
	case u["UnitFileState"] == "disabled":
		return warn("systemctl enable "+program, "%s: not started at the next boot", state)
	}
	return ok("%s", state)
}

// daemonState says how the running daemon is, by its own words.
func (x *examination) daemonState(context.Context) []Line {
	const ask = program + " status"
	switch {
	case x.asked == nil && x.daemon.Well():
		t := x.daemon.Totals
		return []Line{ok("version %s, in sync since %s: %d routers, %d proxies", x.daemon.Version, x.daemon.Started.UTC().Format(time.RFC3339), t.Routers, t.Proxies)}
	case x.asked == nil && !x.daemon.Ready:
		return []Line{warn(ask, "version %s runs and waits for its first full sync", x.daemon.Version)}
	case x.asked == nil:
		return []Line{warn(ask, "version %s runs, and something is in its way", x.daemon.Version)}
	case errors.Is(x.asked, errNoSocket):
		return []Line{ok("%v: it cannot be asked", x.asked)}
	case errors.Is(x.asked, admin.ErrNoPermission):
		return []Line{notChecked("ask as root, or as a member of the group of the socket", "%v", x.asked)}
	case errors.Is(x.asked, admin.ErrNotRunning) && x.installed() && x.unit["ActiveState"] == "active":
		return []Line{fail("journalctl -u "+program, "the unit is active, and %v", x.asked)}
	case errors.Is(x.asked, admin.ErrNotRunning):
		return []Line{ok("no daemon runs")}
	}
	return []Line{fail("journalctl -u "+program, "%v", x.asked)}
}

// writable reports whether the unit lets the daemon write to a path at all, whoever
// owns it.
func (u Unit) writable(path string) bool {
	if u["ProtectSystem"] != "strict" {
		return true
	}
	allowed := strings.Fields(u["ReadWritePaths"])
	for _, d := range []struct{ property, root string }{
		{"RuntimeDirectory", "/run"}, {"LogsDirectory", "/var/log"}, {"StateDirectory", "/var/lib"}, {"CacheDirectory", "/var/cache"},
	} {
		for _, name := range strings.Fields(u[d.property]) {
			allowed = append(allowed, filepath.Join(d.root, name))
		}
	}
	allowed = append(allowed, "/proc", "/dev", "/sys")
	return slices.ContainsFunc(allowed, func(a string) bool {
		return within(path, strings.TrimLeft(a, "-+"))
	})
}

// hidden reports whether the unit hides a path from the daemon.
func (u Unit) hidden(path string) bool {
	if u["ProtectHome"] == "yes" && (within(path, "/home") || within(path, "/root") || within(path, "/run/user")) {
		return true
	}
	return u["PrivateTmp"] == "yes" && (within(path, "/tmp") || within(path, "/var/tmp"))
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(filepath.Clean(dir), filepath.Clean(path))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(os.PathSeparator))
}
