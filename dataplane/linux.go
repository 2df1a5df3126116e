package dataplane

import (
	"context"
	"errors"
	"time"

	"neutron-ndp-proxy-agent/dataplane/filter"
	"neutron-ndp-proxy-agent/dataplane/link"
	"neutron-ndp-proxy-agent/dataplane/neigh"
	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/dataplane/rtnl"
	"neutron-ndp-proxy-agent/dataplane/sysctl"
)

// linuxKernel is the running kernel, with the namespaces bound in dir.
type linuxKernel struct {
	dir string
}

// Linux returns the running kernel's door, with the namespaces bound in dir.
func Linux(dir string) Kernel { return linuxKernel{dir: dir} }

// Namespaces implements [Kernel].
func (k linuxKernel) Namespaces() ([]string, error) { return netns.List(k.dir) }

// Open implements [Kernel].
func (k linuxKernel) Open(namespace string) (Session, error) {
	ns, err := netns.Open(k.dir, namespace)
	if err != nil {
		return nil, err
	}
	return &linuxSession{ns: ns}, nil
}

// linuxSession opens its rtnetlink socket with the first use: entering a
// namespace for a socket of the caller's own needs none.
type linuxSession struct {
	ns   *netns.Handle
	conn *rtnl.Conn
}

func (s *linuxSession) ID() netns.ID { return s.ns.ID() }

func (s *linuxSession) Do(fn func() error) error { return s.ns.Do(fn) }

func (s *linuxSession) Close() error {
	if s.conn == nil {
		return s.ns.Close()
	}
	return errors.Join(s.conn.Close(), s.ns.Close())
}

func (s *linuxSession) rtnl() (*rtnl.Conn, error) {
	if s.conn == nil {
		c, err := rtnl.Dial(s.ns.FD())
		if err != nil {
			return nil, err
		}
		s.conn = c
	}
	return s.conn, nil
}

func (s *linuxSession) Links(ctx context.Context) ([]link.Interface, error) {
	c, err := s.rtnl()
	if err != nil {
		return nil, err
	}
	return link.List(ctx, c)
}

func (s *linuxSession) Sysctls(ctx context.Context) (sysctl.Table, error) {
	c, err := s.rtnl()
	if err != nil {
		return sysctl.Table{}, err
	}
	return sysctl.Read(ctx, c)
}

func (s *linuxSession) SetProxyNDP(ctx context.Context, device string, on bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.ns.Do(func() error { return sysctl.SetProxyNDP(device, on) })
}

func (s *linuxSession) SetProxyDelay(ctx context.Context, index int, delay time.Duration) error {
	c, err := s.rtnl()
	if err != nil {
		return err
	}
	return sysctl.SetProxyDelay(ctx, c, index, delay)
}

func (s *linuxSession) Neighbours(ctx context.Context) ([]neigh.Entry, error) {
	c, err := s.rtnl()
	if err != nil {
		return nil, err
	}
	return neigh.List(ctx, c)
}

func (s *linuxSession) SetNeighbour(ctx context.Context, e neigh.Entry) error {
	c, err := s.rtnl()
	if err != nil {
		return err
	}
	return neigh.Set(ctx, c, e)
}

func (s *linuxSession) DeleteNeighbour(ctx context.Context, e neigh.Entry) error {
	c, err := s.rtnl()
	if err != nil {
		return err
	}
	return neigh.Delete(ctx, c, e.Index, e.Addr)
}

func (s *linuxSession) FilterPresent(ctx context.Context, table string) (bool, error) {
	return filter.Present(ctx, s.ns.FD(), table)
}

func (s *linuxSession) ReadFilter(ctx context.Context, table string, deep bool) (filter.Found, error) {
	return filter.Read(ctx, s.ns.FD(), table, deep)
}

func (s *linuxSession) WriteFilter(ctx context.Context, table string, base *filter.Content, target filter.Content) error {
	return filter.Write(ctx, s.ns.FD(), table, base, target)
}
