package preflight

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/dataplane/probe"
)

// Machine is the world as it is. The caller adds Version, Args, Needs, Broker and
// Server.
func Machine() Environment {
	return Environment{
		UID: os.Geteuid(), Now: time.Now,
		Unit: showUnitOf, Account: lookUp, As: as,
		Kernel: probe.Run, HasChain: probe.HasChain,
		Mounts:  func() ([]byte, error) { return os.ReadFile("/proc/self/mountinfo") },
		Devices: devices, Processes: processes, Synchronised: synchronised,
		Daemon: func(ctx context.Context, socket string) (admin.Status, error) {
			s, _, err := admin.NewClient(socket).Status(ctx)
			return s, err
		},
	}
}

// shownProperties are what is asked of systemd.
func shownProperties() []string {
	names := []string{"LoadState", "UnitFileState", "ActiveState", "SubState", "ExecMainStatus", "DropInPaths", "NeedDaemonReload", "ExecStart",
		"User", "Group", "AmbientCapabilities", "CapabilityBoundingSet", "SystemCallFilter",
		"ReadWritePaths", "RuntimeDirectory", "LogsDirectory", "StateDirectory", "CacheDirectory"}
	for _, s := range shipped() {
		names = append(names, s.property)
	}
	for _, b := range breaking() {
		names = append(names, b.property)
	}
	return names
}

// systemctlLimit bounds the wait for systemd.
const systemctlLimit = 5 * time.Second

func showUnitOf(ctx context.Context) (Unit, error) {
	if _, err := os.Stat("/run/systemd/system"); errors.Is(err, os.ErrNotExist) { // sd_booted(3)
		return nil, ErrNoSystemd
	}
	ctx, cancel := context.WithTimeout(ctx, systemctlLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "systemctl", "show", "--no-pager", "--property="+strings.Join(shownProperties(), ","), program+".service") // #nosec G204 -- constants
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return nil, fmt.Errorf("systemctl show: %w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return nil, fmt.Errorf("systemctl show: %w", err)
	}
	return parseUnit(string(out)), nil
}

func parseUnit(text string) Unit {
	u := Unit{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\n"), "=")
		if before := u[name]; before != "" { // a list that is shown on several lines
			value = before + " " + value
		}
		u[name] = value
	}
	return u
}

func lookUp(name, group string) (Account, error) {
	a := Account{User: name, Group: group}
	u, err := user.Lookup(name)
	if err != nil {
		return a, fmt.Errorf("user %s does not exist", name)
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return a, fmt.Errorf("group %s does not exist", group)
	}
	ids := []string{u.Uid, g.Gid}
	if more, err := u.GroupIds(); err == nil {
		ids = append(ids, more...)
	}
	numbers := make([]int, 0, len(ids))
	for _, id := range ids {
		n, err := strconv.Atoi(id)
		if err != nil {
			return a, fmt.Errorf("user %s, group %s: %w", name, group, err)
		}
		numbers = append(numbers, n)
	}
	a.UID, a.GID, a.Groups = numbers[0], numbers[1], numbers[2:]
	return a, nil
}

// as runs fn on a thread that the kernel takes for the account's when it opens files.
// Changing the user for file access takes the capabilities to override permissions
// away with it (capabilities(7)). The thread ends with its goroutine, so that nothing
// else ever runs on it; what fn starts does not inherit.
func as(a Account, fn func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			// The main thread does not end: occupy it.
			defer runtime.UnlockOSThread()
			result <- as(a, fn)
			return
		}
		result <- become(a, fn)
	}()
	return <-result
}

func become(a Account, fn func() error) error {
	groups := make([]uint32, 0, len(a.Groups)+1)
	for _, g := range append(a.Groups, a.GID) {
		groups = append(groups, uint32(g))
	}
	// Go's own Setgroups is for the whole process.
	if err := setThreadGroups(groups); err != nil {
		return fmt.Errorf("groups of user %s: %w", a.User, err)
	}
	// These succeed or do nothing, without a word; asked again they tell.
	_, _ = unix.SetfsgidRetGid(a.GID)
	_, _ = unix.SetfsuidRetUid(a.UID)
	gid, errGID := unix.SetfsgidRetGid(-1)
	uid, errUID := unix.SetfsuidRetUid(-1)
	if err := errors.Join(errGID, errUID); err != nil || gid != a.GID || uid != a.UID {
		return fmt.Errorf("file access as user %s, group %s is refused", a.User, a.Group)
	}
	return fn()
}

func devices() ([]string, error) {
	entries, err := os.ReadDir("/sys/class/net")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// processes reads the command lines; a process that ends meanwhile is none.
func processes() ([]Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var out []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		raw, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err != nil || len(raw) == 0 {
			continue // gone, hidden, or the kernel's own
		}
		out = append(out, Process{PID: pid, Args: strings.Split(strings.TrimRight(string(raw), "\x00"), "\x00")})
	}
	return out, nil
}

func synchronised() (bool, error) {
	var t unix.Timex // modes 0: only read
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, os.NewSyscallError("adjtimex", err)
	}
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, nil
}
