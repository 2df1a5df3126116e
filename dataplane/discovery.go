package dataplane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Discovery counts Neighbour Discovery messages (RFC 4861) of a device since it was
// made. The kernel counts a solicitation only if it gets past the device's multicast
// filter, so mostly those for addresses that are answered for.
type Discovery struct {
	// Solicitations are those received; Advertisements are those that left, the
	// kernel's answers and what programs sent.
	Solicitations, Advertisements uint64
}

// Discovery reads the counts of devices of a namespace; those that are not there, or
// have no IPv6, are left out. Errors: as [Dataplane.Observe] for a namespace that
// cannot be opened, and those of reading.
func (d *Dataplane) Discovery(ctx context.Context, ns string, devices []string) (map[string]Discovery, error) {
	s, err := d.open(ctx, ns)
	if err != nil {
		return nil, err
	}
	defer d.close(s)
	out := map[string]Discovery{}
	err = s.Do(func() error {
		var errs []error
		for _, device := range devices {
			if !fs.ValidPath(device) || device != filepath.Base(device) || device == "." {
				continue // no device is called so, and no other file is meant
			}
			// The thread's own: /proc/net is that of the process's first thread.
			text, err := os.ReadFile("/proc/thread-self/net/dev_snmp6/" + device)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			counts, bad := parseDiscovery(string(text))
			if err := errors.Join(err, bad); err != nil {
				errs = append(errs, fmt.Errorf("counters of %s: %w", device, err))
				continue
			}
			out[device] = counts
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", ns, err)
	}
	return out, nil
}

var errNoCounters = errors.New("no counters of Neighbour Discovery in the kernel's list")

// parseDiscovery reads the file, lines of a name and a number.
func parseDiscovery(text string) (Discovery, error) {
	var d Discovery
	found := 0
	for line := range strings.Lines(text) {
		var into *uint64
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch strings.TrimSpace(name) {
		case "Icmp6InNeighborSolicits":
			into = &d.Solicitations
		case "Icmp6OutNeighborAdvertisements":
			into = &d.Advertisements
		default:
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		if err != nil {
			return Discovery{}, fmt.Errorf("%s: %w", name, err)
		}
		*into = n
		found++
	}
	if found < 2 {
		return Discovery{}, errNoCounters
	}
	return d, nil
}
