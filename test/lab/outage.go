package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"neutron-ndp-proxy-agent/test/nettools"
)

// underlay is the first host's end of the link to the second: broker, tunnels, HA network.
const underlay = "lab-ul-h2"

// Cut takes the carrier from all links of the second host, as a dead switch does: to the external
// network and to the first host. The control plane lives on the first, which cannot be cut off.
func (n *Node) Cut(ctx context.Context) error { return n.setLinks(ctx, "down") }

// Heal undoes Cut.
func (n *Node) Heal(ctx context.Context) error { return n.setLinks(ctx, "up") }

func (n *Node) setLinks(ctx context.Context, state string) error {
	if n.holder == "" {
		return errors.New("the first host has the control plane: only the second can be cut off or crash")
	}
	_, outside := nettools.IP(ctx, UpstreamNS, "link", "set", n.UpstreamPort(), state)
	_, inside := nettools.Run(ctx, "ip", "link", "set", underlay, state)
	return errors.Join(outside, inside)
}

// Crash ends the second host as a power cut does: its links go dark first, then every process of it
// is killed, ours too, and its router namespaces, bridges and tunnels are gone. Whoever holds a
// socket in one of the namespaces keeps it alive.
func (n *Node) Crash(ctx context.Context) error {
	if err := n.Cut(ctx); err != nil {
		return err
	}
	if err := n.killAll(ctx); err != nil {
		return err
	}
	routers, err := n.namespaces()
	if err != nil {
		return err
	}
	for _, ns := range routers {
		if _, err := n.Run(ctx, "ip", "netns", "del", ns); err != nil {
			return err
		}
	}
	// the veth pairs of the namespaces go with them, but not at once
	return poll(ctx, "a bare "+n.Name, func() (bool, error) {
		devices, err := nettools.Devices(ctx, n.Name)
		if err != nil {
			return false, err
		}
		devices = slices.DeleteFunc(devices, func(d string) bool { return d == "lo" || d == "ul0" || d == "lab-ext0" })
		for _, d := range devices {
			// the other end of a pair, or what has just gone by itself: the next look tells
			_, _ = n.Run(ctx, "ip", "link", "del", d)
		}
		return len(devices) == 0, nil
	})
}

// Revive boots the second host after Crash: links, L2 agent, L3 agent. It returns when the server
// knows both agents to be alive.
func (n *Node) Revive(ctx context.Context) error {
	if err := n.Heal(ctx); err != nil {
		return err
	}
	started := make(chan error, 2)
	for _, agent := range []string{"l2-agent", "l3-agent"} {
		go func() { started <- n.Service(ctx, "start", agent) }()
	}
	return errors.Join(<-started, <-started)
}

// namespaces lists the network namespaces that agents have made on the second host.
func (n *Node) namespaces() ([]string, error) {
	entries, err := os.ReadDir("/proc/" + n.holder + "/root" + nettools.NetnsDir)
	if err != nil {
		return nil, fmt.Errorf("namespaces of %s: %w", n.Name, err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// killAll kills every process that lives in a network namespace of the second host, but for the one
// that holds its mount namespace, until none is left: agents start what they miss.
func (n *Node) killAll(ctx context.Context) error {
	return poll(ctx, "end of the processes of "+n.Name, func() (bool, error) {
		pids, err := n.processes()
		if err != nil {
			return false, err
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return false, fmt.Errorf("kill %d: %w", pid, err)
			}
		}
		return len(pids) == 0, nil
	})
}

// processes lists the pids of the second host but for the holder, told by their network namespaces.
func (n *Node) processes() ([]int, error) {
	names, err := n.namespaces()
	if err != nil {
		return nil, err
	}
	paths := []string{"/proc/" + n.holder + "/ns/net"}
	for _, name := range names {
		paths = append(paths, "/proc/"+n.holder+"/root"+nettools.NetnsDir+"/"+name)
	}
	ours := map[uint64]bool{}
	for _, path := range paths {
		inode, err := inodeOf(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		ours[inode] = true
	}
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, fmt.Errorf("processes of %s: %w", n.Name, err)
	}
	var pids []int
	for _, dir := range all {
		pid, err := strconv.Atoi(filepath.Base(dir))
		// our own main thread may have served nettools.In
		if err != nil || pid == os.Getpid() || strconv.Itoa(pid) == n.holder {
			continue
		}
		// a process that has ended, or a zombie, has no namespaces
		if inode, err := inodeOf(dir + "/ns/net"); err == nil && ours[inode] {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func inodeOf(path string) (uint64, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return 0, fmt.Errorf("stat %s: %w", path, err)
	}
	return st.Ino, nil
}
