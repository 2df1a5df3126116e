package probe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/filter"
	"neutron-ndp-proxy-agent/dataplane/neigh"
	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/dataplane/rtnl"
	"neutron-ndp-proxy-agent/dataplane/rule"
	"neutron-ndp-proxy-agent/dataplane/sysctl"
)

// Feature is one thing that the kernel has to be able to do.
type Feature string

// The features, in the order in which they are probed.
const (
	Namespace  Feature = "namespace"  // a network namespace can be made and entered
	IPv6       Feature = "ipv6"       // and its devices have IPv6 switched on
	Sysctls    Feature = "sysctls"    // proxy_ndp and proxy_delay of a device
	Neighbours Feature = "neighbours" // proxy neighbours that carry a mark
	Filter     Feature = "filter"     // one nftables table with sets, rules and hooks like ours
	Rules      Feature = "rules"      // policy routing by our own table
)

// Options of [Run]. All fields are needed.
type Options struct {
	Protocol uint8  // the mark of our entries and rules
	Table    string // the name of our nftables table
	Rules    bool   // whether rules are needed at all
}

// Result is what was found out about one feature; Err is nil if the kernel has it.
type Result struct {
	Feature Feature
	Err     error
}

// Run probes the features, each whatever became of the others. If no namespace can be
// made the only result is that of [Namespace]; its error wraps the kernel's, which is
// EPERM without CAP_SYS_ADMIN.
func Run(ctx context.Context, o Options) []Result {
	results := make(chan []Result, 1)
	go func() {
		// The thread is never unlocked: it ends with this goroutine, and the
		// namespace with the thread.
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			// The main thread does not end. Occupy it, so that the second attempt
			// runs on another one.
			defer runtime.UnlockOSThread()
			results <- Run(ctx, o)
			return
		}
		results <- inside(ctx, o)
	}()
	return <-results
}

func inside(ctx context.Context, o Options) []Result {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return []Result{{Namespace, fmt.Errorf("make a network namespace: %w", os.NewSyscallError("unshare", err))}}
	}
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return []Result{{Namespace, fmt.Errorf("open the namespace: %w", err)}}
	}
	defer func() { _ = f.Close() }() // only read
	p := &prober{Options: o, fd: int(f.Fd())}
	if p.conn, err = rtnl.Dial(p.fd); err != nil {
		return []Result{{Namespace, err}}
	}
	defer func() { _ = p.conn.Close() }() // nothing is left to lose
	out := []Result{{Namespace, nil}, {IPv6, p.ipv6()}, {Sysctls, p.sysctls(ctx)}, {Neighbours, p.neighbours(ctx)}, {Filter, p.filter(ctx)}}
	if o.Rules {
		out = append(out, Result{Rules, p.rules(ctx)})
	}
	return out
}

type prober struct {
	Options
	fd   int // of the namespace
	conn *rtnl.Conn
}

// The one device of a new namespace. It need not be up for what is done here.
const (
	device = "lo"
	index  = 1
)

// errOff: the kernel has IPv6, and a new device starts without it.
var errOff = errors.New("net.ipv6.conf.default.disable_ipv6 is 1 in a new network namespace")

func (p *prober) ipv6() error {
	const setting = "/proc/sys/net/ipv6/conf/default/disable_ipv6" // of this thread's namespace
	text, err := os.ReadFile(setting)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("the kernel runs without IPv6: %w", err)
	case err != nil:
		return err
	case strings.TrimSpace(string(text)) != "0":
		return errOff
	}
	return nil
}

func (p *prober) sysctls(ctx context.Context) error {
	if err := sysctl.SetProxyNDP(device, true); err != nil { // reads it back
		return err
	}
	const delay = 0 // the kernel rounds others to its clock, and a new device has 800 ms
	if err := sysctl.SetProxyDelay(ctx, p.conn, index, delay); err != nil {
		return err
	}
	t, err := sysctl.Read(ctx, p.conn)
	if err != nil {
		return err
	}
	if v := t.Devices[index]; !v.ProxyNDP || v.ProxyDelay != delay {
		return fmt.Errorf("%w: proxy_ndp and proxy_delay read back as %t, %v", sysctl.ErrNotKept, v.ProxyNDP, v.ProxyDelay)
	}
	return nil
}

// published and the others are from the prefix for documentation.
var (
	published = netip.MustParseAddr("2001:db8::2")
	guarded   = netip.MustParsePrefix("2001:db8::/64")
	linkLocal = netip.MustParseAddr("fe80::1")
)

// ErrUnmarked means that entries do not keep who made them: Linux before 5.0.
var ErrUnmarked = errors.New("proxy neighbours do not keep the mark of who made them (NDA_PROTOCOL, Linux 5.0)")

func (p *prober) neighbours(ctx context.Context) error {
	want := neigh.Entry{Index: index, Addr: published, Protocol: p.Protocol, Flags: neigh.FlagProxy}
	if err := neigh.Set(ctx, p.conn, want); err != nil {
		return err
	}
	there, err := neigh.List(ctx, p.conn)
	if err != nil {
		return err
	}
	for _, e := range there {
		switch {
		case e == want:
			return neigh.Delete(ctx, p.conn, index, published)
		case e.Addr == want.Addr:
			return ErrUnmarked
		}
	}
	return errors.New("a proxy neighbour that was made is not there")
}

// filter writes a table with all that ours ever has, changes it, and reads it back.
func (p *prober) filter(ctx context.Context) error {
	first := filter.Content{Devices: []filter.Device{{
		Name: device, LinkLocal: linkLocal, Published: []netip.Addr{published}, Guarded: []netip.Prefix{guarded}, OriginalDelay: filter.NoDelay,
	}}}
	second := filter.Content{Devices: slices.Clone(first.Devices)}
	second.Devices[0].Published = []netip.Addr{published, published.Next()}
	if err := filter.Write(ctx, p.fd, p.Table, nil, first); err != nil {
		return err
	}
	if err := filter.Write(ctx, p.fd, p.Table, &first, second); err != nil {
		return err
	}
	found, err := filter.Read(ctx, p.fd, p.Table, true)
	if err != nil {
		return err
	}
	if !found.Holds(second) {
		return fmt.Errorf("nftables table %s: %w: %s", p.Table, filter.ErrIncomplete, found.Problem)
	}
	return nil
}

func (p *prober) rules(ctx context.Context) error {
	r := rule.Rule{Priority: 32800, IIF: device, Table: uint32(p.Protocol), Protocol: p.Protocol}
	if err := rule.Add(ctx, p.conn, r); err != nil {
		return err
	}
	there, err := rule.List(ctx, p.conn)
	if err != nil {
		return err
	}
	if !slices.Contains(there, r) {
		return errors.New("a routing rule that was made is not there")
	}
	return rule.Delete(ctx, p.conn, r)
}

// HasChain reports whether a namespace bound in dir has an nftables chain (family ip6),
// whoever made it. Errors: those of netns.Open, and the kernel's.
func HasChain(ctx context.Context, dir, namespace, table, chain string) (bool, error) {
	h, err := netns.Open(dir, namespace)
	if err != nil {
		return false, err
	}
	defer func() { _ = h.Close() }() // nothing is written
	return filter.ChainPresent(ctx, h.FD(), table, chain)
}

// Denied reports whether a probe could not be made for want of a capability.
func Denied(r Result) bool { return r.Feature == Namespace && errors.Is(r.Err, unix.EPERM) }
