package filter

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// perhaps is a rule that may match, with a verdict.
func perhaps(t *testing.T, code int32, chain string) foundRule {
	t.Helper()
	wrap := func(kind uint16, parts ...netlink.Attribute) netlink.Attribute {
		b, err := netlink.MarshalAttributes(parts)
		if err != nil {
			t.Fatal(err)
		}
		return netlink.Attribute{Type: kind | unix.NLA_F_NESTED, Data: b}
	}
	verdict := []netlink.Attribute{{Type: unix.NFTA_VERDICT_CODE, Data: binary.BigEndian.AppendUint32(nil, uint32(code))}}
	if chain != "" {
		verdict = append(verdict, netlink.Attribute{Type: unix.NFTA_VERDICT_CHAIN, Data: append([]byte(chain), 0)})
	}
	data := wrap(unix.NFTA_IMMEDIATE_DATA, wrap(unix.NFTA_DATA_VERDICT, verdict...))
	return foundRule{exprs: []foundExpr{{name: "limit"}, {"immediate", attributes{unix.NFTA_IMMEDIATE_DATA: data.Data}}}}
}

// A ruleset of a hundred rules has more ways through it than can be followed: that is
// said, in time, and little is kept.
func TestJudgeEnds(t *testing.T) {
	rules := &ruleset{name: "ip6 t", chains: map[string]*foundChain{}}
	for depth := range maxDepth {
		c := &foundChain{name: fmt.Sprint("c", depth), base: depth == 0, filter: depth == 0, hook: unix.NF_INET_FORWARD}
		for range 8 {
			c.rules = append(c.rules, perhaps(t, unix.NFT_JUMP, fmt.Sprint("c", depth+1)), perhaps(t, 0, ""))
		}
		rules.chains[c.name] = c
	}
	var f Foreign
	done := make(chan struct{})
	go func() {
		defer close(done)
		rules.judge(Passage{External: "qg-1", Addr: netip.MustParseAddr("2001:db8::1")}.packets()[0], &f)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
	if n := len(f.Doubts); len(f.Drops) > 0 || n != maxNoted+1 || !strings.Contains(f.Doubts[n-1].Where, "chain c0: too many ways") {
		t.Errorf("%d drops, %d doubts", len(f.Drops), n)
	}
}
