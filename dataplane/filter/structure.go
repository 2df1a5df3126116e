package filter

import (
	"slices"

	"golang.org/x/sys/unix"
)

const (
	chainType = "filter"

	nfAccept = 1 // NF_ACCEPT (linux/netfilter.h)

	// Absent from x/sys/unix: linux/netfilter/nf_tables.h.
	flowtableTable = 1 // NFTA_FLOWTABLE_TABLE
	flowtableName  = 2 // NFTA_FLOWTABLE_NAME
)

// structure compares chains and rules with those that the records demand, and
// finds what is in the table and was never ours: a base chain of somebody's
// may drop everything.
func (r *reader) structure(f Found, problem func(string, ...any)) error {
	want := map[string][]rule{}
	for _, d := range f.Devices {
		for _, rule := range (Content{Devices: []Device{d.Content()}}).rules() {
			want[rule.chain] = append(want[rule.chain], rule)
		}
	}
	chains, err := r.chains()
	if err != nil {
		return err
	}
	for _, b := range baseChains() {
		attrs, ok := chains[b.name]
		if !ok {
			problem("chain %s is missing", b.name)
			continue
		}
		delete(chains, b.name)
		if !b.is(attrs) || attrs.uint32(unix.NFTA_CHAIN_POLICY) != nfAccept {
			problem("chain %s has another hook, priority or policy", b.name)
		}
		if err := r.rules(b.name, want[b.name], problem); err != nil {
			return err
		}
	}
	for name := range chains {
		problem("chain %s is not ours", name)
	}
	others, err := r.others()
	if err != nil {
		return err
	}
	for _, o := range others {
		problem("%s %s is not ours", o.what, o.name)
	}
	return nil
}

// is reports whether a chain hangs where it should.
func (b baseChain) is(a attributes) bool {
	hook := a.nested(unix.NFTA_CHAIN_HOOK)
	return hook != nil && hook.uint32(unix.NFTA_HOOK_HOOKNUM) == b.hook &&
		int32(hook.uint32(unix.NFTA_HOOK_PRIORITY)) == b.priority &&
		a.text(unix.NFTA_CHAIN_TYPE) == chainType
}

// chains returns the table's chains by name. The kernel dumps those of all
// tables of the family.
func (r *reader) chains() (map[string]attributes, error) {
	dumped, err := r.dump(unix.NFT_MSG_GETCHAIN, nil)
	if err != nil {
		return nil, err
	}
	out := map[string]attributes{}
	for _, c := range dumped {
		if c.text(unix.NFTA_CHAIN_TABLE) == r.table {
			out[c.text(unix.NFTA_CHAIN_NAME)] = c
		}
	}
	return out, nil
}

// other is a thing of a kind that we never make.
type other struct {
	what string // otherObject or otherFlowtable
	name string
	kind uint32 // of an object: counter, quota, …
}

const (
	otherObject    = "object"
	otherFlowtable = "flowtable"
)

func (r *reader) others() ([]other, error) {
	var out []other
	for _, o := range []struct {
		what        string
		message     uint16
		table, name uint16
	}{
		{otherObject, unix.NFT_MSG_GETOBJ, unix.NFTA_OBJ_TABLE, unix.NFTA_OBJ_NAME},
		{otherFlowtable, unix.NFT_MSG_GETFLOWTABLE, flowtableTable, flowtableName},
	} {
		dumped, err := r.dump(o.message, r.named(o.table, r.table))
		if err != nil {
			return nil, err
		}
		for _, a := range dumped {
			if a.text(o.table) == r.table {
				out = append(out, other{what: o.what, name: a.text(o.name), kind: a.uint32(unix.NFTA_OBJ_TYPE)})
			}
		}
	}
	return out, nil
}

// rules compares a chain's rules with those wanted: by the comment, which
// tells a version, and by what they do, which is what counts.
func (r *reader) rules(chain string, want []rule, problem func(string, ...any)) error {
	dumped, err := r.dump(unix.NFT_MSG_GETRULE, append(r.named(unix.NFTA_RULE_TABLE, r.table), r.named(unix.NFTA_RULE_CHAIN, chain)...))
	if err != nil {
		return err
	}
	var have, identities []string
	for _, a := range dumped {
		have = append(have, commentOf(a[unix.NFTA_RULE_USERDATA]))
	}
	for _, w := range want {
		identities = append(identities, w.identity)
	}
	if !slices.Equal(have, identities) {
		problem("rules of chain %s are not those written: %q", chain, have)
		return nil
	}
	for i, a := range dumped {
		if got := readForm(a[unix.NFTA_RULE_EXPRESSIONS]); !slices.Equal(got, want[i].form()) {
			problem("rule %q of chain %s does something else than was written: %q", have[i], chain, []string(got))
		}
	}
	return nil
}

const unknownCount = -1

// foundSet is a set of the table, without its elements.
type foundSet struct {
	// count of elements, or unknownCount where the kernel does not tell.
	count  int
	flags  uint32
	keyLen uint32
}

func (s foundSet) publishes() bool { return s.keyLen == addrLen && s.flags == 0 }
func (s foundSet) guards() bool    { return s.keyLen == addrLen && s.flags == unix.NFT_SET_INTERVAL }

func (r *reader) sets() (map[string]foundSet, error) {
	dumped, err := r.dump(unix.NFT_MSG_GETSET, r.named(unix.NFTA_SET_TABLE, r.table))
	if err != nil {
		return nil, err
	}
	out := make(map[string]foundSet, len(dumped))
	for _, a := range dumped {
		s := foundSet{count: unknownCount, flags: a.uint32(unix.NFTA_SET_FLAGS), keyLen: a.uint32(unix.NFTA_SET_KEY_LEN)}
		if _, ok := a[setCount]; ok {
			s.count = int(a.uint32(setCount))
		}
		out[a.text(unix.NFTA_SET_NAME)] = s
	}
	return out, nil
}
