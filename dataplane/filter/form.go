package filter

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// form is what a rule does, in words of our own, one expression each. What we
// send and what the kernel dumps are brought into it by the same function, so
// that they can be compared: the kernel leaves out attributes that are zero,
// or adds them, gives no set IDs back, and counters count.
//
// Comparing forms needs no memory of an earlier dump, which a new process has
// not, and which would tell a kernel upgrade from a changed rule no better.
// Attributes that we do not know are left out: a newer kernel may dump more,
// of which we set none.
type form []string

// bitwiseOp is NFTA_BITWISE_OP, absent from x/sys/unix.
const bitwiseOp = 6

// kind is how an attribute is read.
type kind int

const (
	number kind = iota
	text
	value // a nest with a value or a verdict
)

// attribute is one that says what an expression does.
type attribute struct {
	id   uint16
	name string
	kind kind
}

// grammar is the attributes of the expressions that we use, as
// linux/netfilter/nf_tables.h numbers them; nil for all others.
func grammar(name string) []attribute {
	switch name {
	case "meta":
		return []attribute{{unix.NFTA_META_KEY, "key", number}, {unix.NFTA_META_DREG, "into", number}, {unix.NFTA_META_SREG, "from", number}}
	case "cmp":
		return []attribute{{unix.NFTA_CMP_SREG, "register", number}, {unix.NFTA_CMP_OP, "operator", number}, {unix.NFTA_CMP_DATA, "with", value}}
	case "rt":
		return []attribute{{unix.NFTA_RT_KEY, "key", number}, {unix.NFTA_RT_DREG, "into", number}}
	case "bitwise":
		return []attribute{
			{unix.NFTA_BITWISE_SREG, "from", number}, {unix.NFTA_BITWISE_DREG, "into", number}, {unix.NFTA_BITWISE_LEN, "length", number},
			{unix.NFTA_BITWISE_MASK, "mask", value}, {unix.NFTA_BITWISE_XOR, "xor", value}, {bitwiseOp, "operator", number},
		}
	case "lookup":
		return []attribute{
			{unix.NFTA_LOOKUP_SET, "set", text}, {unix.NFTA_LOOKUP_SREG, "register", number},
			{unix.NFTA_LOOKUP_DREG, "into", number}, {unix.NFTA_LOOKUP_FLAGS, "flags", number},
		}
	case "payload":
		return []attribute{
			{unix.NFTA_PAYLOAD_BASE, "base", number}, {unix.NFTA_PAYLOAD_OFFSET, "offset", number}, {unix.NFTA_PAYLOAD_LEN, "length", number},
			{unix.NFTA_PAYLOAD_DREG, "into", number}, {unix.NFTA_PAYLOAD_SREG, "from", number},
			{unix.NFTA_PAYLOAD_CSUM_TYPE, "checksum", number}, {unix.NFTA_PAYLOAD_CSUM_OFFSET, "at", number}, {unix.NFTA_PAYLOAD_CSUM_FLAGS, "flags", number},
		}
	case "immediate":
		return []attribute{{unix.NFTA_IMMEDIATE_DREG, "into", number}, {unix.NFTA_IMMEDIATE_DATA, "data", value}}
	}
	return nil
}

// readForm reads a list of expressions (NFTA_RULE_EXPRESSIONS). What cannot be
// read has a form that nothing we write has.
func readForm(list []byte) form {
	items, err := netlink.UnmarshalAttributes(list)
	if err != nil {
		return form{"unreadable"}
	}
	var out form
	for _, item := range items {
		out = append(out, readExpression(item.Data))
	}
	return out
}

func readExpression(b []byte) string {
	e, err := parse(b)
	if err != nil {
		return "unreadable"
	}
	name := e.text(unix.NFTA_EXPR_NAME)
	data := e.nested(unix.NFTA_EXPR_DATA)
	var out strings.Builder
	out.WriteString(name)
	for _, a := range grammar(name) {
		switch a.kind {
		case number:
			if n := data.uint32(a.id); n != 0 {
				fmt.Fprintf(&out, " %s %d", a.name, n)
			}
		case text:
			fmt.Fprintf(&out, " %s %q", a.name, data.text(a.id))
		case value:
			d := data.nested(a.id)
			v := d.nested(unix.NFTA_DATA_VERDICT)
			if len(v) == 0 {
				fmt.Fprintf(&out, " %s %s", a.name, hex.EncodeToString(d[unix.NFTA_DATA_VALUE]))
				continue
			}
			fmt.Fprintf(&out, " %s verdict %d %q", a.name, int32(v.uint32(unix.NFTA_VERDICT_CODE)), v.text(unix.NFTA_VERDICT_CHAIN))
		}
	}
	return out.String()
}

// form is that of a rule as we send it.
func (r rule) form() form {
	var out form
	for _, e := range r.exprs {
		b, err := expr.Marshal(unix.NFPROTO_IPV6, e)
		if err != nil { // only an attribute above 64 KiB fails
			return form{"unwritable"}
		}
		out = append(out, readExpression(b))
	}
	return out
}
