package rule

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/rtnl"
)

// Attributes and values of rules (linux/fib_rules.h).
const (
	fraProtocol = 21 // FRA_PROTOCOL, since Linux 4.17
	// toTable is FR_ACT_TO_TBL.
	toTable = 1
	// detached is FIB_RULE_IIF_DETACHED: there is no device of that name now.
	detached = 1 << 3
	// nothingSuppressed is FRA_SUPPRESS_PREFIXLEN of a rule that says nothing
	// of it.
	nothingSuppressed = 1<<32 - 1
)

// headerLen is sizeof(struct fib_rule_hdr).
const headerLen = 12

var errShort = errors.New("rule message is too short")

// Rule looks packets up in a table. A plain value.
type Rule struct {
	Priority uint32
	// IIF is the device that they came in on, by name, whether or not there is
	// one; "" is any.
	IIF      string
	Table    uint32
	Protocol uint8
	// Other is empty, or the kernel's own message of a rule that says more than
	// the fields above: that one is only good for being deleted.
	Other string
}

// List dumps the rules in the order in which they are looked at. A kernel
// without policy routing has none.
func List(ctx context.Context, c *rtnl.Conn) ([]Rule, error) {
	messages, err := c.Dump(ctx, unix.RTM_GETRULE, unix.RTM_NEWRULE, header(0, 0))
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list rules: %w", err)
	}
	rules := make([]Rule, 0, len(messages))
	for _, m := range messages {
		r, ok, err := decode(m)
		if err != nil {
			return nil, fmt.Errorf("list rules: %w", err)
		}
		if ok {
			rules = append(rules, r)
		}
	}
	return rules, nil
}

// Add makes the rule. One like it, protocol included, is success.
//
// The kernel makes the same rule again and again unless told NLM_F_EXCL, and
// with it takes any rule for the same that says more (rule_exists in
// net/core/fib_rules.c).
func Add(ctx context.Context, c *rtnl.Conn, r Rule) error {
	payload, err := encode(r)
	if err != nil {
		return err
	}
	err = c.Do(ctx, unix.RTM_NEWRULE, netlink.Create|netlink.Excl, payload)
	if errors.Is(err, unix.EEXIST) {
		there, listErr := List(ctx, c)
		if listErr != nil || slices.Contains(there, r) {
			return listErr
		}
		err = c.Do(ctx, unix.RTM_NEWRULE, netlink.Create, payload)
	}
	if err != nil {
		return fmt.Errorf("add rule %d: %w", r.Priority, err)
	}
	return nil
}

// Delete removes one rule that says what r says, protocol included; of several,
// the first. None is success.
func Delete(ctx context.Context, c *rtnl.Conn, r Rule) error {
	payload := []byte(r.Other)
	if r.Other == "" {
		var err error
		if payload, err = encode(r); err != nil {
			return err
		}
	}
	err := c.Do(ctx, unix.RTM_DELRULE, 0, payload)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("delete rule %d: %w", r.Priority, err)
	}
	return nil
}

// header is struct fib_rule_hdr: family, lengths of destination and source,
// tos, table, two reserved bytes, action, flags.
func header(table uint32, action uint8) []byte {
	b := make([]byte, headerLen, headerLen+64)
	b[0] = unix.AF_INET6
	if table < 256 {
		b[4] = byte(table)
	}
	b[7] = action
	return b
}

func encode(r Rule) ([]byte, error) {
	if r.Other != "" || r.Priority == 0 || r.Table == 0 || len(r.IIF) >= unix.IFNAMSIZ {
		return nil, fmt.Errorf("rule %d iif %q table %d: %w", r.Priority, r.IIF, r.Table, unix.EINVAL)
	}
	ae := netlink.NewAttributeEncoder()
	ae.Uint32(unix.FRA_PRIORITY, r.Priority)
	ae.Uint32(unix.FRA_TABLE, r.Table)
	if r.IIF != "" {
		ae.String(unix.FRA_IIFNAME, r.IIF)
	}
	ae.Uint8(fraProtocol, r.Protocol)
	attrs, err := ae.Encode()
	if err != nil {
		return nil, fmt.Errorf("rule %d: %w", r.Priority, err)
	}
	return append(header(r.Table, toTable), attrs...), nil
}

// decode reads one RTM_NEWRULE; ok is false for another family's.
func decode(b []byte) (r Rule, ok bool, err error) {
	if len(b) < headerLen {
		return Rule{}, false, errShort
	}
	if b[0] != unix.AF_INET6 {
		return Rule{}, false, nil
	}
	r.Table = uint32(b[4])
	more := b[1] != 0 || b[2] != 0 || b[3] != 0 || b[7] != toTable ||
		binary.NativeEndian.Uint32(b[8:])&^detached != 0
	ad, err := netlink.NewAttributeDecoder(b[headerLen:])
	if err != nil {
		return Rule{}, false, fmt.Errorf("rule attributes: %w", err)
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.FRA_TABLE:
			r.Table = ad.Uint32()
		case unix.FRA_PRIORITY:
			r.Priority = ad.Uint32()
		case unix.FRA_IIFNAME:
			r.IIF = string(bytes.TrimRight(ad.Bytes(), "\x00"))
		case fraProtocol:
			r.Protocol = ad.Uint8()
		case unix.FRA_SUPPRESS_PREFIXLEN:
			more = more || ad.Uint32() != nothingSuppressed
		default:
			more = true
		}
	}
	if err := ad.Err(); err != nil {
		return Rule{}, false, fmt.Errorf("rule attributes: %w", err)
	}
	if more {
		r.Other = string(b)
	}
	return r, true, nil
}
