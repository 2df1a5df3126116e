package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// HAState describes what both hosts make of their HA routers, for the log of a failed test: the
// addresses in the router's namespace and the last words of Neutron's keepalived state monitor, which
// the L3 agent relies on.
func (l *Lab) HAState(ctx context.Context) []string {
	var all []string
	for _, name := range []string{Host, Host2} {
		n, err := l.Node(name)
		if err != nil {
			all = append(all, err.Error())
			continue
		}
		logs, _ := filepath.Glob(filepath.Join(l.Dir, "state", name, "ha_confs", "*", "neutron-keepalived-state-change.log")) // the pattern is valid
		for _, path := range logs {
			router := filepath.Base(filepath.Dir(path))
			addresses, err := n.Run(ctx, "ip", "-n", "qrouter-"+router, "-br", "address")
			if err != nil {
				addresses = []byte(err.Error())
			}
			state, err := os.ReadFile(filepath.Join(filepath.Dir(path), "state"))
			if err != nil {
				state = []byte(err.Error())
			}
			text, err := os.ReadFile(path)
			if err != nil {
				text = []byte(err.Error())
			}
			lines := slices.DeleteFunc(bytes.SplitAfter(text, []byte("\n")), func(line []byte) bool {
				return bytes.Contains(line, []byte("IP monitor")) // each address three times
			})
			all = append(all, fmt.Sprintf("%s, router %s, keepalived %v, state %q\n%s%s", name, router, n.Keepalived(router),
				strings.TrimSpace(string(state)), addresses, bytes.Join(lines[max(0, len(lines)-12):], nil)))
		}
	}
	return all
}

// RestartHA kills keepalived and Neutron's keepalived state monitor of a router on both hosts; the L3
// agents' process monitors start new ones.
func (l *Lab) RestartHA(router string) error {
	var failed error
	for _, name := range []string{Host, Host2} {
		n, err := l.Node(name)
		if err != nil {
			return err
		}
		monitor := filepath.Join(l.Dir, "state", name, "external", "pids", router+".monitor.pid.neutron-keepalived-state-change-monitor")
		for _, path := range []string{monitor, n.keepalivedPID(router)} {
			// what is not there yet or no more is started anyway
			if err := signalFile(path, syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
				failed = errors.Join(failed, err)
			}
		}
	}
	return failed
}
