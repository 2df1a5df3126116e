package agent

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/ndsend/announcer"
)

// Done is what the looks at a namespace did since an order was given for it.
type Done struct {
	Namespace string
	// Looked: a thorough look has begun and ended since.
	Looked bool
	// Lines are what was written, see [dataplane.Lines], but for what Failed.
	Lines  []string
	Failed []string
	// Trouble is what is in the way, as in [Namespace]. Error says that it is an error.
	Trouble string
	Error   bool
}

// order is somebody's wish to have namespaces looked at, and to hear of it. Looks that
// were under way when it was given do not count.
type order struct {
	// waits ends with the order.
	waits context.Context
	ended context.CancelFunc
	// announces tells which addresses are to be announced; nil: none.
	announces func(netip.Addr) bool

	mu      sync.Mutex
	round   int           // how often the looks were asked for
	changed chan struct{} // closed and replaced whenever something below changes
	looks   map[string]*Done
	left    map[string]bool // namespaces that no thorough look has ended in
	fates   map[fateOf]Fate
	owed    int // of the fates
}

type fateOf struct {
	target announcer.Target
	addr   netip.Addr
}

// begin gives an order; end has to follow.
func (a *Agent) begin(ctx context.Context, names []string, announces func(netip.Addr) bool) *order {
	waits, ended := context.WithCancel(ctx)
	o := &order{waits: waits, ended: ended, announces: announces, changed: make(chan struct{}), looks: map[string]*Done{}, left: map[string]bool{}, fates: map[fateOf]Fate{}}
	a.mu.Lock()
	a.orders[o] = true
	a.mu.Unlock()
	a.again(o, names)
	return o
}

// again has the namespaces, and those before, looked at anew.
func (a *Agent) again(o *order, names []string) {
	o.change(func() {
		o.round++
		for _, ns := range names {
			if o.looks[ns] == nil {
				o.looks[ns] = &Done{Namespace: ns}
			}
		}
		for ns := range o.looks {
			o.left[ns] = true
		}
		names = slices.Collect(maps.Keys(o.looks))
	})
	for _, ns := range names {
		a.queue.Add(ns, true)
	}
}

func (a *Agent) end(o *order) {
	o.ended()
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.orders, o)
}

// ordered returns the orders that a look which begins now answers, with their rounds.
func (a *Agent) ordered(ns string) map[*order]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[*order]int{}
	for o := range a.orders {
		if round, concerned := o.concerns(ns); concerned {
			out[o] = round
		}
	}
	return out
}

// answer tells the orders how a look ended.
func (a *Agent) answer(ns string, deep bool, end ending, r *record) {
	if r == nil {
		return
	}
	a.mu.Lock()
	st := a.statuses[ns]
	a.mu.Unlock()
	if end != settled && st.trouble == "" { // nothing is kept of a namespace of nobody
		st.trouble = "it could not be done, and is tried again"
	}
	for o, round := range r.orders {
		o.change(func() {
			l := o.looks[ns]
			l.Lines = append(l.Lines, r.lines...)
			l.Failed, l.Trouble, l.Error = r.failed, st.trouble, st.failed || end != settled
			if deep && round == o.round {
				l.Looked = true
				delete(o.left, ns)
			}
		})
	}
}

func (o *order) concerns(ns string) (round int, yes bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.round, o.looks[ns] != nil
}

func (o *order) change(do func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	do()
	close(o.changed)
	o.changed = make(chan struct{})
}

// await waits until something is so, asked with the order locked, or the context ends.
func (o *order) await(ctx context.Context, so func() bool) bool {
	for {
		o.mu.Lock()
		yes, changed := so(), o.changed
		o.mu.Unlock()
		if yes {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

func (o *order) allLooked() bool { return len(o.left) == 0 }

// list returns what was done so far, sorted by namespace.
func (o *order) list() []Done {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]Done, 0, len(o.looks))
	for _, ns := range slices.Sorted(maps.Keys(o.looks)) {
		out = append(out, *o.looks[ns])
	}
	return out
}

// record is what one look does, for those who ordered it; nil if nobody did.
type record struct {
	orders map[*order]int
	lines  []string
	failed []string
}

func newRecord(orders map[*order]int) *record {
	if len(orders) == 0 {
		return nil
	}
	return &record{orders: orders}
}

// wrote notes what a look has written.
func (r *record) wrote(have dataplane.Observation, c dataplane.Changes, res dataplane.Result, err error) {
	if r == nil {
		return
	}
	r.lines = dataplane.Lines(have, c)
	for _, f := range res.Failures {
		if f.Class() != dataplane.ClassGone { // that is waited for
			r.failed = append(r.failed, f.Error())
		}
	}
	if err != nil {
		r.failed = append(r.failed, err.Error())
	}
}
