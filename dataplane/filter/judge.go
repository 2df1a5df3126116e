package filter

import (
	"bytes"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// match is whether a rule matches a packet.
type match int

const (
	matchNo match = iota
	matchMaybe
	matchYes
)

// verdict is what a rule does with what it matches.
type verdict struct {
	kind  verdictKind
	chain string
}

type verdictKind int

const (
	verdictNone verdictKind = iota
	verdictAccept
	verdictDrop
	verdictReturn
	verdictJump
	verdictGoto
	verdictOther // a queue, and the like: whoever reads it decides
)

// maxDepth is the kernel's bound of jumps (NFT_JUMP_STACK_SIZE).
const maxDepth = 16

// maxSteps bounds the rules that are gone through for one packet in one base chain, and
// maxNoted what is noted of it: chains that are jumped to from many places, which are
// jumped to in turn, make a way that grows with the power of their depth.
const (
	maxSteps = 100_000
	maxNoted = 64
)

// judge notes what the table does to a packet.
func (t *ruleset) judge(p packet, f *Foreign) {
	for _, c := range t.chains {
		if !c.base || !c.filter || !slices.Contains(p.hooks, c.hook) {
			continue
		}
		w := walk{table: t, packet: p, found: f, sure: true, left: maxSteps}
		ended := w.chain(c, 0)
		switch {
		case w.left == 0:
			f.Doubts = append(f.Doubts, Drop{p.what, fmt.Sprintf("table %s, chain %s: too many ways to follow all", t.name, c.name)})
		case !ended && c.drops:
			w.note(fmt.Sprintf("table %s, policy of chain %s", t.name, c.name))
		}
	}
}

// walk is the way of one packet through a base chain.
type walk struct {
	table  *ruleset
	packet packet
	found  *Foreign
	// sure: nothing that may have ended the way came before.
	sure bool
	// left is how many more rules are gone through, noted what was.
	left, noted int
}

func (w *walk) note(where string) {
	d := Drop{w.packet.what, where}
	switch w.noted++; {
	case w.sure: // it ends the way: there is one at most
		w.found.Drops = append(w.found.Drops, d)
	case w.noted <= maxNoted:
		w.found.Doubts = append(w.found.Doubts, d)
	}
}

// chain goes through a chain and reports whether the packet's way ended in it.
func (w *walk) chain(c *foundChain, depth int) bool {
	if c == nil || depth > maxDepth {
		return false
	}
	for _, r := range c.rules {
		if w.left == 0 {
			return true
		}
		w.left--
		m, v := r.eval(w.packet)
		if m == matchNo {
			continue
		}
		sure, ended := w.sure, false
		w.sure = sure && m == matchYes
		switch v.kind {
		case verdictDrop:
			w.note(r.where(w.table, c))
			ended = true
		case verdictAccept, verdictOther:
			ended = true
		case verdictJump:
			ended = w.chain(w.table.chains[v.chain], depth+1)
		case verdictGoto:
			if ended = w.chain(w.table.chains[v.chain], depth+1); !ended && m == matchYes {
				return false
			}
		case verdictReturn:
			if m == matchYes {
				return false
			}
		case verdictNone:
			w.sure = sure
		}
		if ended && m == matchYes {
			return true
		}
		// What only may drop changes nothing for those that it does not.
		if v.kind == verdictDrop {
			w.sure = sure
		}
	}
	return false
}

func (r foundRule) where(t *ruleset, c *foundChain) string {
	text := fmt.Sprintf("table %s, chain %s, rule with handle %d", t.name, c.name, r.handle)
	if r.comment != "" {
		text += fmt.Sprintf(" (%q)", r.comment)
	}
	return text
}

// eval runs a rule's expressions on a packet.
func (r foundRule) eval(p packet) (match, verdict) {
	registers := map[uint32]field{}
	m := matchYes
	for _, e := range r.exprs {
		switch e.name {
		case "meta":
			if e.data[unix.NFTA_META_SREG] == nil { // else it sets something
				registers[register(e.data.uint32(unix.NFTA_META_DREG))] = p.meta(e.data.uint32(unix.NFTA_META_KEY))
			}
		case "payload":
			if e.data[unix.NFTA_PAYLOAD_SREG] == nil {
				registers[register(e.data.uint32(unix.NFTA_PAYLOAD_DREG))] = p.payload(e.data.uint32(unix.NFTA_PAYLOAD_BASE),
					int(e.data.uint32(unix.NFTA_PAYLOAD_OFFSET)), int(e.data.uint32(unix.NFTA_PAYLOAD_LEN)))
			}
		case "bitwise":
			registers[register(e.data.uint32(unix.NFTA_BITWISE_DREG))] = bitwise(registers[register(e.data.uint32(unix.NFTA_BITWISE_SREG))], e.data)
		case "cmp":
			m = min(m, compare(registers[register(e.data.uint32(unix.NFTA_CMP_SREG))], e.data))
		case "immediate":
			data := e.data.nested(unix.NFTA_IMMEDIATE_DATA)
			if v := data.nested(unix.NFTA_DATA_VERDICT); len(v) > 0 {
				return m, decide(v)
			}
			registers[register(e.data.uint32(unix.NFTA_IMMEDIATE_DREG))] = field{}
		case "reject":
			return m, verdict{kind: verdictDrop}
		case "queue":
			return m, verdict{kind: verdictOther}
		case "counter", "log", "notrack", "objref", "nat", "masq":
		case "match":
			if e.data.text(1) != "comment" { // NFTA_MATCH_NAME
				m = min(m, matchMaybe)
			}
		case "target":
			switch e.data.text(1) { // NFTA_TARGET_NAME
			case "REJECT":
				return m, verdict{kind: verdictDrop}
			case "NFQUEUE":
				return m, verdict{kind: verdictOther}
			}
		default: // a set, a state of a connection, a limit
			m = min(m, matchMaybe)
		}
		if m == matchNo {
			return m, verdict{}
		}
	}
	return m, verdict{}
}

func decide(v attributes) verdict {
	switch int32(v.uint32(unix.NFTA_VERDICT_CODE)) {
	case 0: // NF_DROP
		return verdict{kind: verdictDrop}
	case nfAccept:
		return verdict{kind: verdictAccept}
	case unix.NFT_RETURN:
		return verdict{kind: verdictReturn}
	case unix.NFT_JUMP:
		return verdict{verdictJump, v.text(unix.NFTA_VERDICT_CHAIN)}
	case unix.NFT_GOTO:
		return verdict{verdictGoto, v.text(unix.NFTA_VERDICT_CHAIN)}
	case unix.NFT_CONTINUE:
		return verdict{}
	}
	return verdict{kind: verdictOther}
}

// register is the place of a register: the wide ones are four narrow ones each.
func register(n uint32) uint32 {
	if n >= unix.NFT_REG_1 && n <= unix.NFT_REG_4 {
		return unix.NFT_REG32_00 + 4*(n-unix.NFT_REG_1)
	}
	return n
}

func bitwise(f field, a attributes) field {
	mask, xor := a.nested(unix.NFTA_BITWISE_MASK)[unix.NFTA_DATA_VALUE], a.nested(unix.NFTA_BITWISE_XOR)[unix.NFTA_DATA_VALUE]
	if !f.known || len(mask) != len(f.data) || len(xor) != len(f.data) {
		return field{}
	}
	out := make([]byte, len(f.data))
	for i := range out {
		out[i] = f.data[i]&mask[i] ^ xor[i]
	}
	return field{out, true}
}

func compare(f field, a attributes) match {
	want := a.nested(unix.NFTA_CMP_DATA)[unix.NFTA_DATA_VALUE]
	if !f.known || len(want) == 0 || len(want) > len(f.data) {
		return matchMaybe
	}
	c := bytes.Compare(f.data[:len(want)], want)
	holds := false
	switch a.uint32(unix.NFTA_CMP_OP) {
	case unix.NFT_CMP_EQ:
		holds = c == 0
	case unix.NFT_CMP_NEQ:
		holds = c != 0
	case unix.NFT_CMP_LT:
		holds = c < 0
	case unix.NFT_CMP_LTE:
		holds = c <= 0
	case unix.NFT_CMP_GT:
		holds = c > 0
	case unix.NFT_CMP_GTE:
		holds = c >= 0
	}
	if holds {
		return matchYes
	}
	return matchNo
}
