package watch

import (
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// FuzzCause: any message is an event of a known cause, or none; and only a rule
// that says it is ours counts as one.
func FuzzCause(f *testing.F) {
	rule := append(make([]byte, ruleHeaderLen), 5, 0, fraProtocol, 0, 110, 0, 0, 0)
	f.Add(uint16(unix.RTM_DELRULE), rule)
	f.Add(uint16(unix.RTM_DELRULE), rule[:ruleHeaderLen+3])
	f.Add(uint16(unix.RTM_DELROUTE), []byte{10, 8, 0, 0, 255, 2, 0, 5, 0, 0, 0, 0})
	f.Add(uint16(unix.RTM_NEWLINK), []byte{})
	f.Add(uint16(0), []byte{1})
	f.Fuzz(func(t *testing.T, kind uint16, data []byte) {
		m := netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(kind)}, Data: data}
		got := cause(m, 110)
		switch got {
		case CauseLink, CauseAddress, CauseRoute, CauseRule, CauseSetting, CauseIPv6, "":
		default:
			t.Fatalf("cause %q", got)
		}
		if got == CauseRule && (kind != unix.RTM_DELRULE || ruleProtocol(data) != 110 || len(data) < ruleHeaderLen+5) {
			t.Fatalf("rule of protocol %d in %d bytes", ruleProtocol(data), len(data))
		}
		if got == "" && kind != unix.RTM_NEWRULE && kind != unix.RTM_DELRULE {
			t.Fatalf("message %d is no event", kind)
		}
	})
}
