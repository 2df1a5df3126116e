package filter

import (
	"errors"
	"net/netip"
	"slices"
)

// DeepLimit is the largest set that a deep read dumps: 10,000 elements take
// tens of milliseconds, and the time grows with the square. Above it a change
// made by hand that keeps the count of elements is not found, and before Linux
// 6.16, which counts them, none is.
const DeepLimit = 10_000

var (
	// ErrConflict means that the table is not what a change was computed
	// against: somebody else changed it. Read again, and write it whole.
	ErrConflict = errors.New("nftables table changed under the transaction")
	// ErrIncomplete means that the kernel took a transaction and holds
	// something else than it said.
	ErrIncomplete = errors.New("nftables table is not what was written")
)

// Found is what a read of the table says.
type Found struct {
	// Present: the table exists.
	Present bool
	// Problem says what is not as we make it (a chain or rule missing or
	// changed, another version's layout), in words; "" if all is well. A table
	// with a problem can only be written whole.
	Problem string
	// Outdated: the problem is no more than that another version of this program
	// wrote the table, which nobody need have touched.
	Outdated bool
	// Devices by name, sorted, as far as the table could be read.
	Devices []FoundDevice
}

// FoundDevice is what the table says of one device.
type FoundDevice struct {
	Name string
	// Record is the comment we left.
	Record Record
	// Known: Published and Guarded are what the kernel's sets hold, or must
	// hold by the record's hash. Otherwise only the record is known.
	Known     bool
	Published []netip.Addr
	Guarded   []netip.Prefix
}

// writer returns the version that wrote all of the table, or "" if there is no
// such one.
func (f Found) writer() string {
	version := ""
	for i, d := range f.Devices {
		if i > 0 && d.Record.Version != version {
			return ""
		}
		version = d.Record.Version
	}
	return version
}

// Device returns the device of that name.
func (f Found) Device(name string) (FoundDevice, bool) {
	for _, d := range f.Devices {
		if d.Name == name {
			return d, true
		}
	}
	return FoundDevice{}, false
}

// Content returns what is in the kernel if every device is known.
func (f Found) Content() (Content, bool) {
	var c Content
	if f.Problem != "" {
		return Content{}, false
	}
	for _, d := range f.Devices {
		if !d.Known {
			return Content{}, false
		}
		c.Devices = append(c.Devices, d.Content())
	}
	return c, true
}

// Content is the device's part as far as it was read: what is not Known is missing.
func (d FoundDevice) Content() Device {
	dev := Device{Name: d.Name, Published: d.Published, Guarded: d.Guarded, Open: d.Record.Open, OriginalDelay: d.Record.OriginalDelay}
	if a, err := netip.ParseAddr(d.Record.LinkLocal); err == nil {
		dev.LinkLocal = a
	}
	return dev
}

// Holds reports whether the table is that content, as far as it was read: by
// record, and by element where the elements are known.
func (f Found) Holds(c Content) bool {
	if len(c.Devices) == 0 {
		return !f.Present
	}
	return f.Present && f.Problem == "" && slices.EqualFunc(f.Devices, c.Devices, func(have FoundDevice, want Device) bool {
		return have.Name == want.Name && have.Record == want.Record() &&
			(!have.Known || slices.Equal(have.Published, want.Published) && slices.Equal(have.Guarded, want.Guarded))
	})
}

// Tampered reports whether the elements differ from the record that was
// written with them.
func (d FoundDevice) Tampered() bool {
	return d.Known && d.Content().Record() != d.Record
}

// Fill completes devices that were not dumped with contents that the caller
// remembers, where the record proves that they are the same.
func (f *Found) Fill(remembered Content) {
	for i := range f.Devices {
		d := &f.Devices[i]
		if d.Known {
			continue
		}
		if m, ok := remembered.Device(d.Name); ok && m.Record() == d.Record {
			d.Published, d.Guarded, d.Known = m.Published, m.Guarded, true
		}
	}
}
