package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/agent/config"
)

// capability is one that the work needs.
type capability struct {
	bit       int
	name, use string
}

func capabilities(announce bool) []capability {
	need := []capability{
		{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN", "to write neighbours, nftables, routes and /proc/sys/net of the namespaces"},
		{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "to enter the namespaces, setns(2)"},
	}
	if announce {
		need = append(need, capability{unix.CAP_NET_RAW, "CAP_NET_RAW", "to send advertisements; not with announce = false"})
	}
	return need
}

// effective returns the effective capabilities of this thread, a bit for each.
func effective() (uint64, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, fmt.Errorf("read the capabilities: %w", err)
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective), nil
}

// surroundings are what the daemon needs of the machine and can look at before it
// starts to work.
type surroundings struct {
	capabilities uint64
	netnsDir     string
	// settings is a directory of /proc/sys/net that exists wherever IPv6 does.
	settings string
	announce bool
}

func look(cfg *config.Config) (surroundings, error) {
	caps, err := effective()
	return surroundings{
		capabilities: caps, announce: cfg.NDPProxy.Announce,
		netnsDir: cfg.NDPProxy.NetnsDir, settings: "/proc/sys/net/ipv6/conf",
	}, err
}

// refusal says all that is missing, what for, and how it is given; nil if nothing
// is. That what is asked for here is not enough (a user namespace, a security
// module) shows only in the work itself, and is said there.
func (s surroundings) refusal() error {
	var lacks []string
	for _, c := range capabilities(s.announce) {
		if s.capabilities&(1<<c.bit) == 0 {
			lacks = append(lacks, fmt.Sprintf("%s is missing: it is needed %s", c.name, c.use))
		}
	}
	if len(lacks) > 0 {
		lacks = append(lacks, "capabilities are given by AmbientCapabilities= in the systemd unit; "+
			"by hand run it as root, or once: setcap cap_net_admin,cap_net_raw,cap_sys_admin=ep FILE; in a container add them to it")
	}
	if err := unreadable(s.netnsDir); err != nil {
		lacks = append(lacks, fmt.Sprintf("the directory of the namespaces (netns_dir) can't be read: %v", err))
	}
	var fsys unix.Statfs_t
	if unix.Statfs(s.settings, &fsys) == nil && fsys.Flags&unix.ST_RDONLY != 0 {
		lacks = append(lacks, s.settings+" is read-only, and proxy_ndp of the devices is set below it: "+
			"ProtectKernelTunables= has to be off in the systemd unit, and a container has to be privileged")
	}
	if len(lacks) == 0 {
		return nil
	}
	return errors.New("this can't be done here:\n  " + strings.Join(lacks, "\n  "))
}

// unreadable says why a directory can't be read. One that does not exist yet can:
// the first `ip netns add` makes it.
func unreadable(dir string) error {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	if _, err := f.ReadDir(1); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
