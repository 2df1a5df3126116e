package filter

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Write makes the table what target says, in one transaction. With base, which
// must be what the kernel holds, only the difference is written and counters
// of unchanged rules stay; without, all that the table holds goes, whoever
// made it, and the table is filled anew. A target without devices deletes the
// table.
//
// After any error the kernel must be read again: the transaction may have been
// applied all the same (a lost acknowledgement). [ErrConflict] means that the
// kernel does not hold what base says, or what it held a moment before; nothing
// was changed then.
func Write(ctx context.Context, fd int, table string, base *Content, target Content) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := write(ctx, fd, table, base, target)
	switch {
	case err == nil:
		return nil
	case conflicting(err):
		return fmt.Errorf("nftables table %s: %w: %w", table, ErrConflict, err)
	}
	return fmt.Errorf("nftables table %s: %w", table, err)
}

func conflicting(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EBUSY)
}

func write(ctx context.Context, fd int, table string, base *Content, target Content) error {
	switch {
	case len(target.Devices) == 0:
		return commit(fd, table, (*transaction).clear)
	case base != nil && len(base.Devices) > 0:
		return commit(fd, table, func(tx *transaction) { tx.change(*base, target) })
	}
	there, err := readRemains(ctx, fd, table, target)
	if err != nil {
		return err
	}
	if there.present && !there.asleep {
		err := commit(fd, table, func(tx *transaction) { tx.refill(there, target) })
		// Refused for something that nobody foresaw; as a whole it goes.
		if !conflicting(err) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
	}
	return commit(fd, table, func(tx *transaction) { tx.remake(target) })
}

// clear deletes the table, also if there is none: making it first makes the
// deletion succeed, and both are one transaction.
func (tx *transaction) clear() {
	tx.conn.AddTable(tx.table)
	tx.conn.DelTable(tx.table)
	tx.messages += 2
}

// remake deletes the table with all that is in it, which no reference inside
// can prevent, and makes another. The kernel commits both at once, yet a packet
// that should have been dropped may pass meanwhile (measured: one of some
// thousand, in dozens of commits; see refill and kept). So it is for what no
// refill can mend, and for what guards nothing: no table, one asleep.
func (tx *transaction) remake(target Content) {
	tx.clear()
	tx.fill(target, nil)
}

// refill replaces what the table holds. It empties base chains of ours that
// are as they should be and fills them again rather than making new ones: a
// packet that has passed a new chain before the commit, where it is empty yet,
// and comes to the old one after it, where it is empty already, would pass
// both. Within one chain the commit is one moment. Guarded sets that are as
// they should be stay for a like reason.
//
// Rules go first, then sets, which by their elements may refer to chains and
// objects.
func (tx *transaction) refill(there remains, target Content) {
	tx.conn.FlushTable(tx.table)
	for _, s := range there.sets {
		if there.kept[s] {
			continue
		}
		tx.conn.DelSet(&nftables.Set{Name: s, Table: tx.table})
	}
	for _, c := range there.wrongChains {
		tx.conn.DelChain(&nftables.Chain{Name: c, Table: tx.table})
	}
	for _, o := range there.others {
		switch o.what {
		case otherObject:
			tx.conn.DeleteObject(&nftables.NamedObj{Table: tx.table, Name: o.name, Type: nftables.ObjType(o.kind)})
		case otherFlowtable:
			tx.conn.DelFlowtable(&nftables.Flowtable{Table: tx.table, Name: o.name})
		}
	}
	tx.messages += 1 + len(there.wrongChains) + len(there.sets) + len(there.others)
	tx.fill(target, there.kept)
}

// fill makes all, in a table that is empty, or holds no more than our base
// chains, without rules, and the sets that are kept.
func (tx *transaction) fill(target Content, kept map[string]bool) {
	tx.conn.AddTable(tx.table)
	tx.messages++
	tx.addSet(recordSet(tx.table))
	tx.add(recordSet(tx.table), recordElements(target))
	for _, b := range baseChains() { // of one that exists, this sets the policy
		tx.conn.AddChain(b.build(tx.table))
		tx.messages++
	}
	for _, d := range target.Devices {
		tx.addDevice(d, kept)
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
			tx.addDevice(d, nil)
			continue
		}
		gone, added := SortedDiff(old.Published, d.Published)
		tx.del(publishedSet(tx.table, d.Name), addrElements(gone))
		tx.add(publishedSet(tx.table, d.Name), addrElements(added))
		// Ranges that stay are not touched: whatever a commit does to a look-up
		// under way, it does to the addresses that change sides only.
		opens, shuts := rangesDiff(old.Guarded, d.Guarded)
		tx.del(guardedSet(tx.table, d.Name), opens)
		tx.add(guardedSet(tx.table, d.Name), shuts)
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
