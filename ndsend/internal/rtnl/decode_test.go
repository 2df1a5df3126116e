package rtnl

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func number(n int32) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }

// What was appended is read back, also where padding is needed.
func TestAttributes(t *testing.T) {
	request := Append(make([]byte, 8), 1, []byte("a"))
	request = AppendUint32(request, 2|unix.NLA_F_NESTED, 77)
	request = Append(request, 3, nil)
	type attribute struct {
		Kind  uint16
		Value string
	}
	var got []attribute
	for kind, value := range Attributes(request, 8) {
		got = append(got, attribute{kind, string(value)})
	}
	if diff := cmp.Diff([]attribute{{1, "a"}, {2, string(number(77))}, {3, ""}}, got); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	for range Attributes(request, 8) {
		break // ends when asked to
	}
	for range Attributes(request[:4], 8) {
		t.Error("an attribute within the header")
	}
}

// Whatever arrives: no decoder runs past the end.
func FuzzDecode(f *testing.F) {
	f.Add(make([]byte, unix.SizeofIfInfomsg))
	f.Add(Append(make([]byte, unix.SizeofIfAddrmsg), unix.IFA_ADDRESS, make([]byte, 16)))
	f.Add(Append(make([]byte, unix.SizeofNdMsg), unix.NDA_DST, make([]byte, 16)))
	f.Add(Append(make([]byte, unix.SizeofIfInfomsg), unix.IFLA_AF_SPEC,
		Append(nil, unix.AF_INET6, Append(nil, unix.IFLA_INET6_CONF, make([]byte, 4*30)))))
	f.Fuzz(func(t *testing.T, data []byte) {
		if l, err := decodeLink(data); err != nil && l.Index != 0 {
			t.Errorf("%+v with %v", l, err)
		}
		for _, carrier := range []uint16{unix.IFA_ADDRESS, unix.IFA_ANYCAST} {
			if _, a, err := decodeAddress(data, carrier); err == nil && a.Addr.IsValid() && !a.Addr.Is6() {
				t.Errorf("address %+v", a)
			}
		}
		if e, err := decodeEntry(data); err != nil && e.Addr.IsValid() {
			t.Errorf("%+v with %v", e, err)
		}
	})
}
