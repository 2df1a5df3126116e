package filter

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/netns"
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

// commit collects operations and runs them as one transaction in the
// namespace of that descriptor.
func commit(fd int, table string, collect func(*transaction)) error {
	tx := &transaction{table: &nftables.Table{Name: table, Family: nftables.TableFamilyIPv6}}
	// A transaction that outlives its watchdog must not meet another file
	// under the caller's descriptor.
	fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return fmt.Errorf("duplicate descriptor of namespace: %w", err)
	}
	deadline := time.Now().Add(flushTimeout)
	tx.conn, err = nftables.New(nftables.WithNetNSFd(fd), nftables.WithSockOptions(func(c *netlink.Conn) error {
		return tx.socket(c, deadline)
	}))
	if err != nil {
		_ = unix.Close(fd) // the first error says more
		return fmt.Errorf("nftables connection: %w", netns.Denied(err))
	}
	collect(tx)
	if tx.err != nil {
		_ = unix.Close(fd) // the first error says more
		return tx.err
	}
	return flush(func() error {
		defer func() { _ = unix.Close(fd) }() // only a reference
		return tx.conn.Flush()
	}, deadline)
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
	sets     uint32
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

func (tx *transaction) addDevice(d Device, kept map[string]bool) {
	tx.addSet(publishedSet(tx.table, d.Name))
	tx.add(publishedSet(tx.table, d.Name), addrElements(d.Published))
	if kept[setName("guarded", d.Name)] {
		return
	}
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

// addSet numbers the set itself: the library would take the number from a
// variable of its package, without a lock, while other namespaces are written.
func (tx *transaction) addSet(s *nftables.Set) {
	tx.sets++
	s.ID = tx.sets
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
