package fakekernel

import (
	"context"
	"slices"
	"sync"
	"time"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/dataplane/filter"
	"neutron-ndp-proxy-agent/dataplane/link"
	"neutron-ndp-proxy-agent/dataplane/neigh"
	"neutron-ndp-proxy-agent/dataplane/sysctl"
)

// Op names a call that can be made to fail.
type Op string

// The calls of dataplane.Kernel and dataplane.Session.
const (
	Open            Op = "open"
	Links           Op = "links"
	Sysctls         Op = "sysctls"
	SetProxyNDP     Op = "set proxy_ndp"
	SetProxyDelay   Op = "set proxy_delay"
	Neighbours      Op = "neighbours"
	SetNeighbour    Op = "set neighbour"
	DeleteNeighbour Op = "delete neighbour"
	FilterPresent   Op = "filter present"
	ReadFilter      Op = "read filter"
	WriteFilter     Op = "write filter"
)

// Fault is one failure to come.
type Fault struct {
	Op  Op
	Err error
	// After lets so many calls pass first: half a batch.
	After int
	// Times is how often it fails; 0 is once, negative for ever.
	Times int
	// Done: the call is carried out and reported as failed all the same, as
	// when the acknowledgement is lost (ENOBUFS).
	Done bool
}

// Faults is a kernel whose calls fail as told, and which notes the writes that
// were made.
type Faults struct {
	inner  dataplane.Kernel
	mu     sync.Mutex
	faults []*Fault
	writes []Op
	// cut is how many writes pass before every further call fails; negative:
	// all.
	cut    int
	cutErr error
}

var _ dataplane.Kernel = (*Faults)(nil)

// NewFaults wraps a kernel.
func NewFaults(inner dataplane.Kernel) *Faults { return &Faults{inner: inner, cut: -1} }

// Fail adds a failure to come.
func (f *Faults) Fail(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, &fault)
}

// Cut lets n more writes pass and then fails every call: a process killed in
// the middle.
func (f *Faults) Cut(n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut, f.cutErr = n, err
}

// Writes returns the writes that reached the kernel since the last call.
func (f *Faults) Writes() []Op {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.writes
	f.writes = nil
	return w
}

func (f *Faults) call(op Op, do func() error) error {
	fault, cut := f.next(op)
	if cut != nil {
		return cut
	}
	if fault == nil {
		return do()
	}
	if fault.Done {
		if err := do(); err != nil {
			return err
		}
	}
	return fault.Err
}

func (f *Faults) next(op Op) (*Fault, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	write := slices.Contains([]Op{SetProxyNDP, SetProxyDelay, SetNeighbour, DeleteNeighbour, WriteFilter}, op)
	if f.cut == 0 && f.cutErr != nil {
		return nil, f.cutErr
	}
	if write && f.cut > 0 {
		f.cut--
	}
	for i, fault := range f.faults {
		if fault.Op != op {
			continue
		}
		if fault.After > 0 {
			fault.After--
			continue
		}
		if fault.Times >= 0 {
			if fault.Times <= 1 {
				f.faults = slices.Delete(f.faults, i, i+1)
			}
			fault.Times--
		}
		if write && fault.Done {
			f.writes = append(f.writes, op)
		}
		return fault, nil
	}
	if write {
		f.writes = append(f.writes, op)
	}
	return nil, nil
}

// Namespaces implements dataplane.Kernel.
func (f *Faults) Namespaces() ([]string, error) { return f.inner.Namespaces() }

// Open implements dataplane.Kernel.
func (f *Faults) Open(name string) (s dataplane.Session, err error) {
	err = f.call(Open, func() error {
		inner, err := f.inner.Open(name)
		s = &faultySession{Session: inner, f: f}
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// faultySession passes ID, Close and Do on.
type faultySession struct {
	dataplane.Session
	f *Faults
}

func (s *faultySession) Links(ctx context.Context) (out []link.Interface, err error) {
	err = s.f.call(Links, func() (err error) { out, err = s.Session.Links(ctx); return err })
	return out, err
}

func (s *faultySession) Sysctls(ctx context.Context) (out sysctl.Table, err error) {
	err = s.f.call(Sysctls, func() (err error) { out, err = s.Session.Sysctls(ctx); return err })
	return out, err
}

func (s *faultySession) SetProxyNDP(ctx context.Context, device string, on bool) error {
	return s.f.call(SetProxyNDP, func() error { return s.Session.SetProxyNDP(ctx, device, on) })
}

func (s *faultySession) SetProxyDelay(ctx context.Context, index int, delay time.Duration) error {
	return s.f.call(SetProxyDelay, func() error { return s.Session.SetProxyDelay(ctx, index, delay) })
}

func (s *faultySession) Neighbours(ctx context.Context) (out []neigh.Entry, err error) {
	err = s.f.call(Neighbours, func() (err error) { out, err = s.Session.Neighbours(ctx); return err })
	return out, err
}

func (s *faultySession) SetNeighbour(ctx context.Context, e neigh.Entry) error {
	return s.f.call(SetNeighbour, func() error { return s.Session.SetNeighbour(ctx, e) })
}

func (s *faultySession) DeleteNeighbour(ctx context.Context, e neigh.Entry) error {
	return s.f.call(DeleteNeighbour, func() error { return s.Session.DeleteNeighbour(ctx, e) })
}

func (s *faultySession) FilterPresent(ctx context.Context, table string) (out bool, err error) {
	err = s.f.call(FilterPresent, func() (err error) { out, err = s.Session.FilterPresent(ctx, table); return err })
	return out, err
}

func (s *faultySession) ReadFilter(ctx context.Context, table string, deep bool) (out filter.Found, err error) {
	err = s.f.call(ReadFilter, func() (err error) { out, err = s.Session.ReadFilter(ctx, table, deep); return err })
	return out, err
}

func (s *faultySession) WriteFilter(ctx context.Context, table string, base *filter.Content, target filter.Content) error {
	return s.f.call(WriteFilter, func() error { return s.Session.WriteFilter(ctx, table, base, target) })
}
