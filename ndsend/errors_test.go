package ndsend

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/ndsend/internal/rtnl"
)

func TestReasonOf(t *testing.T) {
	source := netip.MustParseAddr("fe80::1")
	for _, c := range []struct {
		err  error
		want Reason
	}{
		{nil, ""},
		{ErrNotReady, ReasonNotReady},
		{ErrTentative, ReasonNotReady},
		{errDown, ReasonNotReady},
		{ErrNoInterface, ReasonNoInterface},
		{fmt.Errorf("%w: %w", ErrNamespace, fs.ErrNotExist), ReasonNamespace},
		{fmt.Errorf("%w: %w", ErrNamespace, unix.EPERM), ReasonPermission},
		{ErrCongested, ReasonCongested},
		{ErrPermission, ReasonPermission},
		{ErrFiltered, ReasonFiltered},
		{ErrBadTarget, ReasonBadTarget},
		{ErrLinkType, ReasonLinkType},
		{errors.New("x"), ReasonOther},
		{sendError(unix.ENOBUFS, source), ReasonCongested},
		{sendError(unix.EAGAIN, source), ReasonCongested},
		{sendError(unix.ENODEV, source), ReasonNoInterface},
		{sendError(unix.ENETDOWN, source), ReasonNotReady},
		{sendError(unix.EINVAL, source), ReasonNotReady},
		{sendError(unix.EPERM, source), ReasonFiltered},
		{sendError(unix.EMSGSIZE, source), ReasonOther},
		{sendError(nil, source), ""},
		{fmt.Errorf("interface x: %w", fmt.Errorf("announce: %w", ErrNoInterface)), ReasonNoInterface},
	} {
		if got := ReasonOf(c.err); got != c.want {
			t.Errorf("ReasonOf(%v) = %q, want %q", c.err, got, c.want)
		}
	}
}

func TestSummaryNamesTheLast(t *testing.T) {
	first, last := errors.New("first"), fmt.Errorf("last: %w", ErrNotReady)
	for _, c := range []struct {
		failures []error
		want     string
	}{
		{nil, "<nil>"},
		{[]error{last}, "last: the interface is not ready"},
		{[]error{first, first, last}, "last: the interface is not ready (and 2 more failures)"},
	} {
		if got := fmt.Sprint(summary(c.failures)); got != c.want {
			t.Errorf("summary %q, want %q", got, c.want)
		}
	}
}

func TestChooseSource(t *testing.T) {
	addr := func(text string, flags uint32) rtnl.Address {
		return rtnl.Address{Addr: netip.MustParseAddr(text), Flags: flags}
	}
	const permanent = unix.IFA_F_PERMANENT
	for _, c := range []struct {
		name  string
		addrs []rtnl.Address
		from  string
		want  string
		err   error
	}{
		{name: "none", err: errNoLinkLocal},
		{name: "global only", addrs: []rtnl.Address{addr("2001:db8::1", permanent)}, err: errNoLinkLocal},
		{name: "one", addrs: []rtnl.Address{addr("2001:db8::1", permanent), addr("fe80::2", permanent)}, want: "fe80::2"},
		{name: "lowest", addrs: []rtnl.Address{addr("fe80::9", permanent), addr("fe80::2", permanent), addr("fe80::3", permanent)}, want: "fe80::2"},
		{name: "tentative", addrs: []rtnl.Address{addr("fe80::2", permanent|unix.IFA_F_TENTATIVE)}, err: ErrTentative},
		{name: "optimistic", addrs: []rtnl.Address{addr("fe80::2", unix.IFA_F_TENTATIVE|unix.IFA_F_OPTIMISTIC)}, err: ErrTentative},
		{name: "lowest is tentative", addrs: []rtnl.Address{addr("fe80::2", unix.IFA_F_TENTATIVE), addr("fe80::3", permanent)}, want: "fe80::3"},
		{name: "failed", addrs: []rtnl.Address{addr("fe80::2", unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED)}, err: errDADFailed},
		{name: "failed and tentative", addrs: []rtnl.Address{addr("fe80::3", unix.IFA_F_TENTATIVE), addr("fe80::2", unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED)}, err: ErrTentative},
		{name: "wanted", from: "2001:db8::1", addrs: []rtnl.Address{addr("fe80::2", permanent), addr("2001:db8::1", permanent)}, want: "2001:db8::1"},
		{name: "wanted link-local", from: "fe80::9", addrs: []rtnl.Address{addr("fe80::2", permanent), addr("fe80::9", permanent)}, want: "fe80::9"},
		{name: "wanted is tentative", from: "2001:db8::1", addrs: []rtnl.Address{addr("fe80::2", permanent), addr("2001:db8::1", unix.IFA_F_TENTATIVE)}, err: ErrTentative},
		{name: "wanted is not there", from: "2001:db8::1", addrs: []rtnl.Address{addr("fe80::2", permanent)}, err: errNoSource},
		{name: "no prefix", addrs: []rtnl.Address{{}}, err: errNoLinkLocal},
	} {
		t.Run(c.name, func(t *testing.T) {
			var wanted netip.Addr
			if c.from != "" {
				wanted = netip.MustParseAddr(c.from)
			}
			got, err := chooseSource(c.addrs, wanted)
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if c.want != "" && got != netip.MustParseAddr(c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
