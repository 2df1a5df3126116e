package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"neutron-ndp-proxy-agent/test/nettools"
)

// Host2 is the `host` of the second host's agents (LAB_HOST2=1).
const Host2 = "lab-host2"

// Node is one "host" of the lab: its agents, its router namespaces, its links. The first shares the
// mount and network namespace of the control plane and of the tests; the second has its own.
type Node struct {
	Name   string
	lab    *Lab
	holder string // pid of the process that holds the second host's namespaces; "" for the first
}

// Node names a host of the lab; one that was not brought up is an error.
func (l *Lab) Node(name string) (*Node, error) {
	switch name {
	case Host:
		return &Node{Name: name, lab: l}, nil
	case Host2:
		pid, err := os.ReadFile(filepath.Join(l.Dir, "run", "host2-holder.pid"))
		if err != nil {
			return nil, fmt.Errorf("host %s: %w (bring the lab up with LAB_HOST2=1)", name, err)
		}
		return &Node{Name: name, lab: l, holder: strings.TrimSpace(string(pid))}, nil
	}
	return nil, fmt.Errorf("the lab has no host %s", name)
}

func (n *Node) String() string { return n.Name }

// NS returns the name under which nettools and `ip -n` find a network namespace of this host from
// where the tests run: a path that leaves /run/netns and enters the host's own one.
func (n *Node) NS(name string) string {
	if n.holder == "" {
		return name
	}
	return "../../proc/" + n.holder + "/root" + nettools.NetnsDir + "/" + name
}

// command prefixes argv so that it runs in the host's own namespaces.
func (n *Node) command(argv ...string) []string {
	if n.holder == "" {
		return argv
	}
	return append([]string{"nsenter", "-t", n.holder, "-m", "-n", "--"}, argv...)
}

// Run executes a command in the host's mount and network namespaces.
func (n *Node) Run(ctx context.Context, argv ...string) ([]byte, error) {
	argv = n.command(argv...)
	return nettools.Run(ctx, argv[0], argv[1:]...)
}

// service is the name of one of the host's agents ("l2-agent", "l3-agent") for test/lab/service.
func (n *Node) service(agent string) string {
	if n.holder == "" {
		return agent
	}
	return agent + "-host2"
}

// Service stops, kills or starts an agent of the host, as Lab.Service does.
func (n *Node) Service(ctx context.Context, action, agent string) error {
	return n.lab.Service(ctx, action, n.service(agent))
}

// ServiceAlive tells whether an agent of the host runs.
func (n *Node) ServiceAlive(ctx context.Context, agent string) bool {
	return n.lab.ServiceAlive(ctx, n.service(agent))
}

// MarkLog returns the current end of an agent's log.
func (n *Node) MarkLog(agent string) (LogMark, error) { return n.lab.MarkLog(n.service(agent)) }

// Signal sends a signal to an agent of the host, and only to its main process: SIGSTOP makes it hang
// while what it has started goes on, SIGCONT lets it go on.
func (n *Node) Signal(agent string, s syscall.Signal) error {
	return signalFile(filepath.Join(n.lab.Dir, "run", n.service(agent)+".pid"), s)
}

// SignalKeepalived sends a signal to keepalived of a router.
func (n *Node) SignalKeepalived(router string, s syscall.Signal) error {
	return signalFile(n.keepalivedPID(router), s)
}

// Keepalived tells whether keepalived of a router runs.
func (n *Node) Keepalived(router string) bool { return n.SignalKeepalived(router, 0) == nil }

func (n *Node) keepalivedPID(router string) string {
	return filepath.Join(n.lab.Dir, "state", n.Name, "ha_confs", router+".pid.keepalived")
}

func signalFile(path string, s syscall.Signal) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("signal %v: %w", s, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return fmt.Errorf("signal %v: %s holds %q, no pid", s, path, text)
	}
	if err := syscall.Kill(pid, s); err != nil {
		return fmt.Errorf("signal %v to %d of %s: %w", s, pid, path, err)
	}
	return nil
}

// NeutronConf and L3Conf are the operator's own files of this host, which the daemon reads too.
func (n *Node) NeutronConf() string { return filepath.Join(n.lab.Dir, "etc", n.Name, "neutron.conf") }

// L3Conf is the L3 agent's configuration file.
func (n *Node) L3Conf() string { return filepath.Join(n.lab.Dir, "etc", n.Name, "l3_agent.ini") }

// exec is the command that runs a program on the host in the place of nsenter, hence with its pid.
func (n *Node) exec(program string, args ...string) *exec.Cmd {
	argv := n.command(append([]string{program}, args...)...)
	return exec.Command(argv[0], argv[1:]...) //nolint:gosec,noctx // programs under test; they end by signals
}

// UpstreamPort is the device of the upstream router's side that leads to this host and to no other:
// a port of the bridge UpstreamDev.
func (n *Node) UpstreamPort() string {
	if n.holder == "" {
		return "ext1"
	}
	return "ext2"
}
