package filter

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Passage is what has to get through a namespace for an address behind it.
type Passage struct {
	// External is where packets for the address come in, Internal where they go on
	// to; "" if that is not known.
	External, Internal string
	Addr               netip.Addr
}

// Foreign is what the packet filters that are not ours do to a [Passage].
type Foreign struct {
	// Drops are certain. Doubts depend on what is not known here, such as marks,
	// states of connections, sets, sources and protocols.
	Drops, Doubts []Drop
	// Legacy are the tables of ip6tables-legacy in the namespace. They can't be
	// read here.
	Legacy []string
}

// Drop is one rule, or the policy of a chain, that drops something.
type Drop struct {
	// What is dropped: one of the names of packets.
	What string
	// Where names table, chain and rule.
	Where string
}

// What is dropped.
const (
	ToAddress     = "packets to the address"
	FromAddress   = "packets from the address"
	Solicitation  = "neighbour solicitations for the address"
	Advertisement = "neighbour advertisements"
)

// ReadForeign judges the tables of families ip6 and inet that are not ours, in the
// namespace of that descriptor, or of the calling thread with 0. It knows what
// interfaces, addresses and protocols decide; of anything else it knows that it
// may match.
func ReadForeign(ctx context.Context, fd int, table string, p Passage) (Foreign, error) {
	r, err := newReader(ctx, fd, table)
	if err != nil {
		return Foreign{}, err
	}
	defer r.close()
	var f Foreign
	for _, family := range []byte{unix.NFPROTO_IPV6, unix.NFPROTO_INET} {
		r.family = family
		var tables map[string]*ruleset
		if err := r.patiently(ctx, func() (err error) { tables, err = r.rulesets(); return err }); err != nil {
			return Foreign{}, fmt.Errorf("read the packet filters of others: %w", err)
		}
		for name, t := range tables {
			if family == unix.NFPROTO_IPV6 && name == table {
				continue
			}
			for _, packet := range p.packets() {
				t.judge(packet, &f)
			}
		}
	}
	f.Legacy = legacyTables()
	return f, nil
}

// legacyTables are named by the kernel to root alone, and only where the module is.
func legacyTables() []string {
	b, err := os.ReadFile("/proc/thread-self/net/ip6_tables_names")
	if err != nil {
		return nil
	}
	return strings.Fields(string(b))
}

// ruleset is one table.
type ruleset struct {
	name   string
	chains map[string]*foundChain
}

type foundChain struct {
	name   string
	base   bool
	hook   uint32
	drops  bool // its policy
	filter bool // of a type in which a packet is judged
	rules  []foundRule
}

type foundRule struct {
	handle  uint64
	comment string
	exprs   []foundExpr
}

type foundExpr struct {
	name string
	data attributes
}

func (r *reader) rulesets() (map[string]*ruleset, error) {
	chains, err := r.dump(unix.NFT_MSG_GETCHAIN, nil)
	if err != nil {
		return nil, err
	}
	tables := map[string]*ruleset{}
	for _, c := range chains {
		table := c.text(unix.NFTA_CHAIN_TABLE)
		if tables[table] == nil {
			tables[table] = &ruleset{name: family(r.family) + " " + table, chains: map[string]*foundChain{}}
		}
		f := &foundChain{name: c.text(unix.NFTA_CHAIN_NAME)}
		if hook := c.nested(unix.NFTA_CHAIN_HOOK); len(hook) > 0 {
			kind := c.text(unix.NFTA_CHAIN_TYPE)
			f.base, f.hook = true, hook.uint32(unix.NFTA_HOOK_HOOKNUM)
			f.filter = kind == chainType || kind == "route"
			f.drops = c[unix.NFTA_CHAIN_POLICY] != nil && c.uint32(unix.NFTA_CHAIN_POLICY) != nfAccept
		}
		tables[table].chains[f.name] = f
	}
	if len(tables) == 0 {
		return tables, nil
	}
	rules, err := r.dump(unix.NFT_MSG_GETRULE, nil)
	if err != nil {
		return nil, err
	}
	for _, a := range rules {
		t := tables[a.text(unix.NFTA_RULE_TABLE)]
		if t == nil || t.chains[a.text(unix.NFTA_RULE_CHAIN)] == nil {
			return nil, errInterrupted // made after the chains were listed
		}
		rule, err := decodeRule(a)
		if err != nil {
			return nil, err
		}
		c := t.chains[a.text(unix.NFTA_RULE_CHAIN)]
		c.rules = append(c.rules, rule)
	}
	return tables, nil
}

func family(f byte) string {
	if f == unix.NFPROTO_INET {
		return "inet"
	}
	return "ip6"
}

func decodeRule(a attributes) (foundRule, error) {
	rule := foundRule{handle: a.uint64(unix.NFTA_RULE_HANDLE), comment: commentOf(a[unix.NFTA_RULE_USERDATA])}
	if len(a[unix.NFTA_RULE_EXPRESSIONS]) == 0 {
		return rule, nil
	}
	list, err := netlink.UnmarshalAttributes(a[unix.NFTA_RULE_EXPRESSIONS])
	if err != nil {
		return rule, fmt.Errorf("expressions of a rule: %w", err)
	}
	for _, item := range list {
		e, err := parse(item.Data)
		if err != nil {
			return rule, fmt.Errorf("expression of a rule: %w", err)
		}
		rule.exprs = append(rule.exprs, foundExpr{e.text(unix.NFTA_EXPR_NAME), e.nested(unix.NFTA_EXPR_DATA)})
	}
	return rule, nil
}

func (a attributes) uint64(kind uint16) uint64 {
	var v uint64
	if b := a[kind]; len(b) == 8 {
		for _, x := range b {
			v = v<<8 | uint64(x)
		}
	}
	return v
}
