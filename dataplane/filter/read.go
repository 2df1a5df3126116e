package filter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/netns"
)

const (
	readTimeout  = 30 * time.Second
	readAttempts = 8
	readPause    = 2 * time.Millisecond
	// The kernel grows the parts of a dump with the reader's buffer, up to
	// 32 KiB: fewer parts, and less of the quadratic cost of set dumps.
	readBufferSize = 64 << 10

	setCount = 20 // NFTA_SET_COUNT, Linux 6.16

	addrLen = 16 // of an IPv6 address
)

var errInterrupted = errors.New("nftables dump was interrupted by a change, again and again")

// Read returns what the kernel has. The published sets are dumped only with
// deep, and only up to [DeepLimit] elements; guarded sets are small and always
// read. A table that does not exist is no error.
func Read(ctx context.Context, fd int, table string, deep bool) (Found, error) {
	r, err := newReader(ctx, fd, table)
	if err != nil {
		return Found{}, err
	}
	defer r.close()
	var f Found
	err = r.patiently(ctx, func() (err error) {
		f, err = r.read(deep)
		return err
	})
	if err != nil {
		return Found{}, fmt.Errorf("read nftables table %s: %w", table, err)
	}
	return f, nil
}

// patiently repeats a read that was interrupted: by any transaction in the
// namespace, Neutron's too.
func (r *reader) patiently(ctx context.Context, read func() error) error {
	for attempt := 1; ; attempt++ {
		err := read()
		if !errors.Is(err, errInterrupted) || attempt == readAttempts {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(attempt) * readPause):
		}
	}
}

// Present reports whether the table exists.
func Present(ctx context.Context, fd int, table string) (bool, error) {
	r, err := newReader(ctx, fd, table)
	if err != nil {
		return false, err
	}
	defer r.close()
	attrs, err := r.get(unix.NFT_MSG_GETTABLE, r.named(unix.NFTA_TABLE_NAME, table))
	if err != nil {
		return false, fmt.Errorf("read nftables table %s: %w", table, err)
	}
	return attrs != nil, nil
}

// ChainPresent reports whether a table of anybody's has a chain of that name.
func ChainPresent(ctx context.Context, fd int, table, chain string) (bool, error) {
	r, err := newReader(ctx, fd, table)
	if err != nil {
		return false, err
	}
	defer r.close()
	request := append(r.named(unix.NFTA_CHAIN_TABLE, table), r.named(unix.NFTA_CHAIN_NAME, chain)...)
	attrs, err := r.get(unix.NFT_MSG_GETCHAIN, request)
	if err != nil {
		return false, fmt.Errorf("read nftables chain %s of table %s: %w", chain, table, err)
	}
	return attrs != nil, nil
}

type reader struct {
	nl     *netlink.Conn
	family byte // NFPROTO_*
	table  string
}

func newReader(ctx context.Context, fd int, table string) (*reader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	nl, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: fd, MessageBufferSize: readBufferSize})
	if err != nil {
		return nil, fmt.Errorf("open nfnetlink socket: %w", netns.Denied(err))
	}
	deadline := time.Now().Add(readTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := nl.SetDeadline(deadline); err != nil {
		_ = nl.Close() // the first error says more
		return nil, fmt.Errorf("nfnetlink deadline: %w", err)
	}
	return &reader{nl: nl, family: unix.NFPROTO_IPV6, table: table}, nil
}

func (r *reader) close() { _ = r.nl.Close() } // nothing is lost with a read-only socket

func (r *reader) read(deep bool) (Found, error) {
	attrs, err := r.get(unix.NFT_MSG_GETTABLE, r.named(unix.NFTA_TABLE_NAME, r.table))
	if err != nil || attrs == nil {
		return Found{}, err
	}
	f := Found{Present: true}
	problem := func(format string, args ...any) {
		if f.Problem == "" {
			f.Problem = fmt.Sprintf(format, args...)
		}
	}
	if attrs.uint32(unix.NFTA_TABLE_FLAGS) != 0 {
		problem("table is dormant or owned by another program")
	}
	sets, err := r.sets()
	if err != nil {
		return Found{}, err
	}
	if _, ok := sets[setRecord]; !ok {
		problem("set %s is missing", setRecord)
	} else if f.Devices, err = r.records(); err != nil {
		return Found{}, err
	}
	if v := f.writer(); v != "" && v != recordVersion && f.Problem == "" {
		f.Outdated = true
		problem("table is of version %s of its layout, this is version %s", v, recordVersion)
	}
	for i := range f.Devices {
		if err := r.device(&f.Devices[i], sets, deep, problem); err != nil {
			return Found{}, err
		}
	}
	if len(sets) != 1+2*len(f.Devices) && f.Problem == "" {
		problem("table has %d sets, wrote %d", len(sets), 1+2*len(f.Devices))
	}
	return f, r.structure(f, problem)
}

// device completes what the record set says of a device with its own sets.
func (r *reader) device(d *FoundDevice, sets map[string]foundSet, deep bool, problem func(string, ...any)) error {
	published, guarded := setName("published", d.Name), setName("guarded", d.Name)
	p, okPublished := sets[published]
	g, okGuarded := sets[guarded]
	if !okPublished || !okGuarded {
		problem("sets of device %s are missing", d.Name)
		return nil
	}
	if !p.publishes() || !g.guards() {
		problem("sets of device %s are of another kind", d.Name)
	}
	have := p.count
	bounds, err := r.elements(guarded)
	if err != nil {
		return err
	}
	d.Guarded = prefixesOf(bounds)
	if got := (Device{Guarded: d.Guarded}).Record().Guarded; got != d.Record.Guarded {
		problem("set %s is not what was written to it", guarded)
	}
	wrote := count(d.Record.Published)
	if have != unknownCount && have != wrote {
		problem("set %s has %d elements, wrote %d", published, have, wrote)
	}
	if !deep || wrote > DeepLimit || have > DeepLimit {
		return nil
	}
	if bounds, err = r.elements(published); err != nil {
		return err
	}
	d.Known = true
	for _, b := range bounds {
		d.Published = append(d.Published, b.addr)
	}
	return nil
}

// records returns the devices that the record set names, sorted, with their records.
func (r *reader) records() ([]FoundDevice, error) {
	var out []FoundDevice
	err := r.eachElement(setRecord, func(key []byte, e attributes) {
		name, _, _ := strings.Cut(string(key), "\x00")
		out = append(out, FoundDevice{Name: name, Record: ParseRecord(commentOf(e[unix.NFTA_SET_ELEM_USERDATA]))})
	})
	slices.SortFunc(out, func(a, b FoundDevice) int { return cmp.Compare(a.Name, b.Name) })
	return out, err
}

// elements returns a set's addresses, sorted, an end before a start.
func (r *reader) elements(set string) ([]bound, error) {
	var out []bound
	err := r.eachElement(set, func(key []byte, e attributes) {
		if a, ok := netip.AddrFromSlice(key); ok {
			out = append(out, bound{a, e.uint32(unix.NFTA_SET_ELEM_FLAGS)&unix.NFT_SET_ELEM_INTERVAL_END != 0})
		}
	})
	slices.SortFunc(out, func(a, b bound) int {
		if c := a.addr.Compare(b.addr); c != 0 || a.end == b.end {
			return c
		}
		if a.end {
			return -1
		}
		return 1
	})
	return out, err
}

func (r *reader) eachElement(set string, yield func(key []byte, e attributes)) error {
	request := append(r.named(unix.NFTA_SET_ELEM_LIST_TABLE, r.table), r.named(unix.NFTA_SET_ELEM_LIST_SET, set)...)
	dumped, err := r.dump(unix.NFT_MSG_GETSETELEM, request)
	if err != nil {
		return err
	}
	for _, a := range dumped {
		list, err := netlink.UnmarshalAttributes(a[unix.NFTA_SET_ELEM_LIST_ELEMENTS])
		if err != nil {
			return fmt.Errorf("elements of set %s: %w", set, err)
		}
		for _, item := range list {
			e, err := parse(item.Data)
			if err != nil {
				return fmt.Errorf("element of set %s: %w", set, err)
			}
			yield(e.nested(unix.NFTA_SET_ELEM_KEY)[unix.NFTA_DATA_VALUE], e)
		}
	}
	return nil
}
