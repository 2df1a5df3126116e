package filter

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// recordVersion changes with the shape of chains and rules, so that an upgrade
// rebuilds a table that an older version wrote:
//
//	1  forward and prerouting
//	2  output, for reports to multicast listeners
//	3  forward also shuts the networks that nobody told us of
const recordVersion = "3"

// sumLen is how much of a SHA-256 identifies a list: an element's comment is
// limited to some 250 bytes, and nobody attacks it.
const sumLen = 8

// Record is the short description of a device's part that the kernel keeps for
// us in the comment of the device's element of the record set:
//
//	v=3 published=2:4f0c… guarded=1:99aa… link-local=fe80::1 delay=800
//
// Equal records mean equal content.
type Record struct {
	Version   string
	Published string // count:hash
	Guarded   string // count:hash
	LinkLocal string // or "none"
	// Open is [Device.Open]; "open" in the text, and nothing where it is not.
	Open bool
	// OriginalDelay in milliseconds in the text; [NoDelay] is "none".
	OriginalDelay time.Duration
}

// Record describes the device's part.
func (d Device) Record() Record {
	r := Record{Version: recordVersion, LinkLocal: "none", Open: d.Open, OriginalDelay: d.OriginalDelay}
	h := sha256.New()
	for _, a := range d.Published {
		writeAddr(h, a)
	}
	r.Published = sum(len(d.Published), h)
	h = sha256.New()
	for _, p := range d.Guarded {
		writeAddr(h, p.Addr())
		_, _ = h.Write([]byte{byte(p.Bits())})
	}
	r.Guarded = sum(len(d.Guarded), h)
	if d.LinkLocal.IsValid() {
		r.LinkLocal = d.LinkLocal.String()
	}
	return r
}

func writeAddr(h hash.Hash, a netip.Addr) {
	b := a.As16()
	_, _ = h.Write(b[:]) // a hash never fails
}

func sum(n int, h hash.Hash) string {
	return strconv.Itoa(n) + ":" + hex.EncodeToString(h.Sum(nil)[:sumLen])
}

// count returns the number in front of a count:hash, or -1.
func count(s string) int {
	n, err := strconv.Atoi(s[:max(strings.IndexByte(s, ':'), 0)])
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// String is the comment's text.
func (r Record) String() string {
	delay := "none"
	if r.OriginalDelay != NoDelay {
		delay = strconv.FormatInt(r.OriginalDelay.Milliseconds(), 10)
	}
	text := fmt.Sprintf("v=%s published=%s guarded=%s link-local=%s delay=%s", r.Version, r.Published, r.Guarded, r.LinkLocal, delay)
	if r.Open {
		text += " open"
	}
	return text
}

// ParseRecord reads what [Record.String] wrote, or some other version of it:
// fields that are missing stay empty, unknown ones are ignored, so that the
// original delay survives upgrades and downgrades. Such a record equals none
// that we would write, and the table is made anew.
func ParseRecord(s string) Record {
	r := Record{OriginalDelay: NoDelay}
	for field := range strings.FieldsSeq(s) {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "v":
			r.Version = value
		case "published":
			r.Published = value
		case "guarded":
			r.Guarded = value
		case "link-local":
			r.LinkLocal = value
		case "open":
			r.Open = true
		case "delay":
			// The bound is far above any sensible delay and far below overflow.
			if ms, err := strconv.ParseUint(value, 10, 31); err == nil {
				r.OriginalDelay = time.Duration(ms) * time.Millisecond
			}
		}
	}
	return r
}
