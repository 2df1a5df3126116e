package fakekernel

import (
	"slices"
	"sync"

	"neutron-ndp-proxy-agent/dataplane"
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
	Routes          Op = "routes"
	SetRoute        Op = "set route"
	DeleteRoute     Op = "delete route"
	Rules           Op = "rules"
	AddRule         Op = "add rule"
	DeleteRule      Op = "delete rule"
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
	write := slices.Contains([]Op{
		SetProxyNDP, SetProxyDelay, SetNeighbour, DeleteNeighbour, WriteFilter,
		SetRoute, DeleteRoute, AddRule, DeleteRule,
	}, op)
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
