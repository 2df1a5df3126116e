package filter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// chunk is the most elements in one message: a netlink attribute's length
	// has 16 bits, and google/nftables v0.3.0 truncates in silence above them.
	chunk = 1000
	// elementSize is more than an address takes in a message.
	elementSize = 64
	// messageSize is more than any message without elements, and more than an
	// acknowledgement takes of a receive buffer.
	messageSize = 2048
	minBuffer   = 256 << 10
	maxBuffer   = 256 << 20
	// flushTimeout bounds a transaction, which google/nftables does not. A
	// million elements take some seconds.
	flushTimeout = 60 * time.Second
)

// ErrStuck means that the kernel did not finish a transaction in time. Whether
// it was applied is for the next read to say.
var ErrStuck = errors.New("nftables transaction did not finish in time")

// Write makes the table what target says, in one transaction. With base, which
// must be what the kernel holds, only the difference is written and counters
// of unchanged rules stay; without, the table is made anew. A target without
// devices deletes the table.
//
// After any error the kernel must be read again: the transaction may have been
// applied all the same (a lost acknowledgement). [ErrConflict] means that the
// kernel does not hold what base says, or what it held a moment before; nothing
// was changed then.
func Write(ctx context.Context, fd int, table string, base *Content, target Content) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	tx := &transaction{table: &nftables.Table{Name: table, Family: nftables.TableFamilyIPv6}}
	whole := base == nil || len(base.Devices) == 0
	var there remains
	if whole && len(target.Devices) > 0 {
		var err error
		if there, err = readRemains(ctx, fd, table); err != nil {
			return err
		}
	}
	// A transaction that outlives its watchdog must not meet another file
	// under the caller's descriptor.
	fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return fmt.Errorf("duplicate descriptor of namespace: %w", err)
	}
	deadline := time.Now().Add(flushTimeout)
	conn, err := nftables.New(nftables.WithNetNSFd(fd), nftables.WithSockOptions(func(c *netlink.Conn) error {
		return tx.socket(c, deadline)
	}))
	if err != nil {
		_ = unix.Close(fd) // the first error says more
		return fmt.Errorf("nftables connection: %w", err)
	}
	tx.conn = conn
	switch {
	case len(target.Devices) == 0:
		tx.clear()
	case whole:
		tx.rebuild(there, target)
	default:
		tx.change(*base, target)
	}
	if tx.err != nil {
		_ = unix.Close(fd) // the first error says more
		return fmt.Errorf("nftables table %s: %w", table, tx.err)
	}
	if err := flush(func() error {
		defer func() { _ = unix.Close(fd) }() // only a reference
		return conn.Flush()
	}, deadline); err != nil {
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("nftables table %s: %w: %w", table, ErrConflict, err)
		}
		return fmt.Errorf("nftables table %s: %w", table, err)
	}
	return nil
}

// flush runs the transaction beside a watchdog: sending may block in the
// kernel where no deadline reaches. Giving up leaves the goroutine to finish
// (or not) by itself. A cancelled context does not interrupt it: the kernel is
// at work, and leaving would only make the outcome unknown.
func flush(commit func() error, deadline time.Time) error {
	done := make(chan error, 1)
	go func() { done <- commit() }()
	timer := time.NewTimer(time.Until(deadline) + time.Second)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return ErrStuck
	}
}

// transaction collects the operations of one change and what they need of the
// socket.
type transaction struct {
	conn     *nftables.Conn
	table    *nftables.Table
	elements int
	messages int
	err      error
}

// socket sizes the buffers: a batch is one sendmsg, and every message in it is
// acknowledged by one of its own.
func (tx *transaction) socket(c *netlink.Conn, deadline time.Time) error {
	size := min(max(tx.elements*elementSize+tx.messages*messageSize, minBuffer), maxBuffer)
	if err := c.SetWriteBuffer(size); err != nil {
		return err
	}
	if err := c.SetReadBuffer(max(tx.messages*2*messageSize, minBuffer)); err != nil {
		return err
	}
	return c.SetDeadline(deadline)
}

// clear deletes the table, also if there is none: making it first makes the
// deletion succeed, and both are one transaction.
func (tx *transaction) clear() {
	tx.conn.AddTable(tx.table)
	tx.conn.DelTable(tx.table)
	tx.messages += 2
}

// rebuild replaces what the table holds. It empties base chains of ours that
// are as they should be and fills them again rather than making new ones: a
// packet that has passed a new chain before the commit, where it is empty yet,
// and comes to the old one after it, where it is empty already, would pass
// both. Within one chain the commit is one moment.
func (tx *transaction) rebuild(there remains, target Content) {
	if there.present && !there.asleep {
		tx.conn.FlushTable(tx.table)
		for _, c := range there.wrongChains {
			tx.conn.DelChain(&nftables.Chain{Name: c, Table: tx.table})
		}
		for _, s := range there.sets {
			tx.conn.DelSet(&nftables.Set{Name: s, Table: tx.table})
		}
		tx.messages += 1 + len(there.wrongChains) + len(there.sets)
	} else {
		tx.clear()
	}
	tx.conn.AddTable(tx.table)
	tx.messages++
	tx.addSet(recordSet(tx.table))
	tx.add(recordSet(tx.table), recordElements(target))
	for _, b := range baseChains() { // of one that exists, this sets the policy
		tx.conn.AddChain(b.build(tx.table))
		tx.messages++
	}
	for _, d := range target.Devices {
		tx.addDevice(d)
	}
	tx.addRules(target)
}

// change writes the difference. The kernel runs the operations in order, so
// rules go before the sets they name are deleted and come after those they
// name are added.
func (tx *transaction) change(base, target Content) {
	rules := !sameRules(base, target)
	if rules {
		for _, b := range baseChains() {
			tx.conn.FlushChain(&nftables.Chain{Name: b.name, Table: tx.table})
			tx.messages++
		}
	}
	for _, old := range base.Devices {
		if _, stays := target.Device(old.Name); !stays {
			tx.conn.DelSet(publishedSet(tx.table, old.Name))
			tx.conn.DelSet(guardedSet(tx.table, old.Name))
			tx.messages += 2
		}
	}
	for _, d := range target.Devices {
		old, was := base.Device(d.Name)
		if !was {
			tx.addDevice(d)
			continue
		}
		gone, added := SortedDiff(old.Published, d.Published)
		tx.del(publishedSet(tx.table, d.Name), addrElements(gone))
		tx.add(publishedSet(tx.table, d.Name), addrElements(added))
		if !slices.Equal(old.Guarded, d.Guarded) {
			tx.flushSet(guardedSet(tx.table, d.Name))
			tx.add(guardedSet(tx.table, d.Name), rangeElements(d.Guarded))
		}
	}
	if rules {
		tx.addRules(target)
	}
	// Adding an element that exists would keep its old comment.
	tx.flushSet(recordSet(tx.table))
	tx.add(recordSet(tx.table), recordElements(target))
}

func sameRules(a, b Content) bool {
	return slices.EqualFunc(a.rules(), b.rules(), func(x, y rule) bool { return x.chain == y.chain && x.identity == y.identity })
}

func (tx *transaction) addDevice(d Device) {
	tx.addSet(publishedSet(tx.table, d.Name))
	tx.add(publishedSet(tx.table, d.Name), addrElements(d.Published))
	tx.addSet(guardedSet(tx.table, d.Name))
	tx.add(guardedSet(tx.table, d.Name), rangeElements(d.Guarded))
}

func (tx *transaction) addRules(c Content) {
	for _, r := range c.rules() {
		tx.conn.AddRule(&nftables.Rule{
			Table: tx.table, Chain: &nftables.Chain{Name: r.chain, Table: tx.table},
			Exprs: r.exprs, UserData: comment(r.identity),
		})
		tx.messages++
	}
}

func (tx *transaction) addSet(s *nftables.Set) {
	tx.note(tx.conn.AddSet(s, nil))
	tx.messages++
}

func (tx *transaction) flushSet(s *nftables.Set) {
	tx.conn.FlushSet(s)
	tx.messages++
}

func (tx *transaction) add(s *nftables.Set, elements []nftables.SetElement) {
	for part := range slices.Chunk(elements, chunk) {
		tx.note(tx.conn.SetAddElements(s, part))
		tx.elements += len(part)
		tx.messages++
	}
}

func (tx *transaction) del(s *nftables.Set, elements []nftables.SetElement) {
	for part := range slices.Chunk(elements, chunk) {
		tx.note(tx.conn.SetDeleteElements(s, part))
		tx.elements += len(part)
		tx.messages++
	}
}

func (tx *transaction) note(err error) {
	if tx.err == nil {
		tx.err = err
	}
}
