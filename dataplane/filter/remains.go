package filter

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

// Absent from x/sys/unix: linux/netfilter/nf_tables.h.
const (
	chainFlags   = 10     // NFTA_CHAIN_FLAGS
	chainBinding = 1 << 2 // NFT_CHAIN_BINDING
)

// remains is what a table holds that is about to be written whole.
type remains struct {
	present bool
	// asleep: dormant, so that its chains do nothing and may simply go.
	asleep bool
	// sets, but for anonymous ones, which go with their rules.
	sets []string
	// wrongChains are all but our base chains where they should hang, and but
	// for those within a rule (`jump { … }`), which go with it.
	wrongChains []string
	// others are what we never make.
	others []other
}

func readRemains(ctx context.Context, fd int, table string) (remains, error) {
	r, err := newReader(ctx, fd, table)
	if err != nil {
		return remains{}, err
	}
	defer r.close()
	var out remains
	err = r.patiently(ctx, func() (err error) {
		out, err = r.remains()
		return err
	})
	if err != nil {
		return remains{}, fmt.Errorf("read nftables table %s: %w", table, err)
	}
	return out, nil
}

func (r *reader) remains() (remains, error) {
	t, err := r.get(unix.NFT_MSG_GETTABLE, r.named(unix.NFTA_TABLE_NAME, r.table))
	if err != nil || t == nil {
		return remains{}, err
	}
	out := remains{present: true, asleep: t.uint32(unix.NFTA_TABLE_FLAGS) != 0}
	sets, err := r.dump(unix.NFT_MSG_GETSET, r.named(unix.NFTA_SET_TABLE, r.table))
	if err != nil {
		return remains{}, err
	}
	for _, s := range sets {
		if s.uint32(unix.NFTA_SET_FLAGS)&unix.NFT_SET_ANONYMOUS == 0 {
			out.sets = append(out.sets, s.text(unix.NFTA_SET_NAME))
		}
	}
	chains, err := r.chains()
	if err != nil {
		return remains{}, err
	}
	for name, c := range chains {
		if !ours(c) && c.uint32(chainFlags)&chainBinding == 0 {
			out.wrongChains = append(out.wrongChains, name)
		}
	}
	out.others, err = r.others()
	return out, err
}

func ours(chain attributes) bool {
	for _, b := range baseChains() {
		if chain.text(unix.NFTA_CHAIN_NAME) == b.name {
			return b.is(chain)
		}
	}
	return false
}
