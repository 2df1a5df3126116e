package fakekernel

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/filter"
	"neutron-ndp-proxy-agent/dataplane/link"
	"neutron-ndp-proxy-agent/dataplane/neigh"
	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/dataplane/sysctl"
)

// session implements dataplane.Session.
type session struct {
	n *Namespace
}

func (s *session) ID() netns.ID             { return s.n.id }
func (s *session) Close() error             { return nil }
func (s *session) Do(fn func() error) error { return fn() }

func (s *session) locked(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.n.k.mu.Lock()
	defer s.n.k.mu.Unlock()
	return fn()
}

func (s *session) Links(ctx context.Context) (list []link.Interface, err error) {
	err = s.locked(ctx, func() error {
		for _, d := range s.n.devices {
			l := d.link
			l.Addrs = slices.Clone(l.Addrs)
			list = append(list, l)
		}
		slices.SortFunc(list, func(a, b link.Interface) int { return strings.Compare(a.Name, b.Name) })
		return nil
	})
	return list, err
}

func (s *session) Sysctls(ctx context.Context) (t sysctl.Table, err error) {
	t.Devices = map[int]sysctl.Values{}
	err = s.locked(ctx, func() error {
		for _, d := range s.n.devices {
			t.Devices[d.link.Index] = d.conf
		}
		return nil
	})
	return t, err
}

func (s *session) SetProxyNDP(ctx context.Context, name string, on bool) error {
	return s.locked(ctx, func() error {
		d, ok := s.n.devices[name]
		if !ok {
			return fmt.Errorf("proxy_ndp of %s: %w", name, unix.ENODEV)
		}
		d.conf.ProxyNDP = on
		return nil
	})
}

func (s *session) SetProxyDelay(ctx context.Context, index int, delay time.Duration) error {
	return s.locked(ctx, func() error {
		d := s.n.byIndex(index)
		if d == nil {
			return fmt.Errorf("proxy_delay: %w", unix.ENODEV)
		}
		d.conf.ProxyDelay = delay
		return nil
	})
}

func (n *Namespace) byIndex(index int) *device {
	for _, d := range n.devices {
		if d.link.Index == index {
			return d
		}
	}
	return nil
}

func (s *session) Neighbours(ctx context.Context) (list []neigh.Entry, err error) {
	err = s.locked(ctx, func() error {
		list = slices.Collect(maps.Values(s.n.entries))
		return nil
	})
	return list, err
}

func (s *session) SetNeighbour(ctx context.Context, e neigh.Entry) error {
	return s.locked(ctx, func() error {
		if s.n.byIndex(e.Index) == nil {
			return fmt.Errorf("set proxy neighbour %s: %w", e.Addr, unix.ENODEV)
		}
		e.Flags |= neigh.FlagProxy
		s.n.entries[entryKey{e.Index, e.Addr}] = e
		return nil
	})
}

func (s *session) DeleteNeighbour(ctx context.Context, e neigh.Entry) error {
	return s.locked(ctx, func() error {
		delete(s.n.entries, entryKey{e.Index, e.Addr})
		return nil
	})
}

func (s *session) FilterPresent(ctx context.Context, name string) (present bool, err error) {
	err = s.locked(ctx, func() error {
		present = s.n.tables[name] != nil
		return nil
	})
	return present, err
}

func (s *session) ReadFilter(ctx context.Context, name string, deep bool) (f filter.Found, err error) {
	err = s.locked(ctx, func() error {
		t := s.n.tables[name]
		if t == nil {
			return nil
		}
		f = filter.Found{Present: true, Problem: t.problem}
		for _, d := range t.content.Devices {
			found := filter.FoundDevice{Name: d.Name, Record: t.records[d.Name], Guarded: slices.Clone(d.Guarded)}
			if deep && len(d.Published) <= filter.DeepLimit {
				found.Known, found.Published = true, slices.Clone(d.Published)
			}
			f.Devices = append(f.Devices, found)
		}
		return nil
	})
	return f, err
}

// WriteFilter runs a transaction as the kernel does: it fails as a whole when
// something to be deleted is not there.
func (s *session) WriteFilter(ctx context.Context, name string, base *filter.Content, target filter.Content) error {
	return s.locked(ctx, func() error {
		if len(target.Devices) == 0 {
			delete(s.n.tables, name)
			return nil
		}
		next := &table{records: map[string]filter.Record{}}
		for _, d := range target.Devices {
			if base != nil {
				published, err := s.n.delta(name, *base, d)
				if err != nil {
					return err
				}
				d.Published = published
			}
			next.content.Devices = append(next.content.Devices, d)
			want, _ := target.Device(d.Name)
			next.records[d.Name] = want.Record()
		}
		s.n.tables[name] = next
		return nil
	})
}

// delta applies the difference between base and target to what is there.
func (n *Namespace) delta(name string, base filter.Content, target filter.Device) ([]netip.Addr, error) {
	t := n.tables[name]
	if t == nil {
		return nil, fmt.Errorf("nftables table %s: %w", name, filter.ErrConflict)
	}
	old, was := base.Device(target.Name)
	actual, is := t.content.Device(target.Name)
	if was != is {
		return nil, fmt.Errorf("nftables table %s: %w", name, filter.ErrConflict)
	}
	gone, added := filter.SortedDiff(old.Published, target.Published)
	out := slices.Concat(actual.Published, added)
	for _, a := range gone {
		i := slices.Index(out, a)
		if i < 0 {
			return nil, fmt.Errorf("nftables table %s: %w", name, filter.ErrConflict)
		}
		out = slices.Delete(out, i, i+1)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out), nil
}
