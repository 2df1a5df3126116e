package rtnl

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// message is one of a datagram, padded.
func message(kind, flags uint16, sequence uint32, data ...byte) []byte {
	m := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(data)))
	m = binary.NativeEndian.AppendUint16(m, kind)
	m = binary.NativeEndian.AppendUint16(m, flags)
	m = binary.NativeEndian.AppendUint32(m, sequence)
	m = append(append(m, 0, 0, 0, 0), data...)
	return append(m, make([]byte, align(len(data))-len(data))...)
}

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func number(n int32) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }

func TestSplit(t *testing.T) {
	const ours = 7
	for _, c := range []struct {
		name     string
		datagram []byte
		part     part
		mine     bool
		visited  []string
		err      error
	}{
		{name: "empty"},
		{name: "one", datagram: message(16, 0, ours, 'a'), mine: true, visited: []string{"a"}},
		{name: "two", datagram: join(message(16, 0, ours, 'a'), message(16, 0, ours, 'b', 'c', 'd', 'e', 'f')), mine: true, visited: []string{"a", "bcdef"}},
		{name: "of an earlier question", datagram: message(16, 0, ours-1, 'a')},
		{name: "behind an earlier one", datagram: join(message(16, 0, ours-1, 'a'), message(16, 0, ours, 'b')), mine: true, visited: []string{"b"}},
		{name: "end", datagram: message(unix.NLMSG_DONE, 0, ours, number(0)...), mine: true, part: part{last: true}},
		{name: "end without a word", datagram: message(unix.NLMSG_DONE, 0, ours), mine: true, part: part{last: true}},
		{name: "end with an error", datagram: message(unix.NLMSG_DONE, 0, ours, number(-int32(unix.EINVAL))...), mine: true, part: part{last: true}, err: unix.EINVAL},
		{name: "interrupted", datagram: message(16, unix.NLM_F_DUMP_INTR, ours, 'a'), mine: true, part: part{interrupted: true}, visited: []string{"a"}},
		{name: "error", datagram: message(unix.NLMSG_ERROR, 0, ours, number(-int32(unix.ENODEV))...), mine: true, part: part{last: true}, err: unix.ENODEV},
		{name: "no error", datagram: message(unix.NLMSG_ERROR, 0, ours, number(0)...), mine: true, part: part{last: true}},
		{name: "nothing", datagram: message(unix.NLMSG_NOOP, 0, ours), mine: true},
		{name: "cut header", datagram: message(16, 0, ours)[:15], err: errMalformed},
		{name: "cut", datagram: message(16, 0, ours, 'a')[:16], err: errMalformed},
		{name: "length zero", datagram: make([]byte, 16), err: errMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			var visited []string
			p, mine, err := split(c.datagram, ours, func(m Message) error {
				visited = append(visited, string(m.Data))
				return nil
			})
			if p != c.part || mine != c.mine || !errors.Is(err, c.err) {
				t.Errorf("%+v, ours %v, error %v, want %+v, %v, %v", p, mine, err, c.part, c.mine, c.err)
			}
			if diff := cmp.Diff(c.visited, visited); diff != "" {
				t.Errorf("visited (-want +got):\n%s", diff)
			}
		})
	}
}

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
	f.Add(uint16(unix.RTM_NEWLINK), message(unix.RTM_NEWLINK, 0, 1, make([]byte, unix.SizeofIfInfomsg)...))
	f.Add(uint16(unix.RTM_NEWADDR), Append(make([]byte, unix.SizeofIfAddrmsg), unix.IFA_ADDRESS, make([]byte, 16)))
	f.Add(uint16(unix.RTM_NEWNEIGH), Append(make([]byte, unix.SizeofNdMsg), unix.NDA_DST, make([]byte, 16)))
	f.Add(uint16(unix.RTM_NEWLINK), Append(make([]byte, unix.SizeofIfInfomsg), unix.IFLA_AF_SPEC,
		Append(nil, unix.AF_INET6, Append(nil, unix.IFLA_INET6_CONF, make([]byte, 4*30)))))
	f.Fuzz(func(t *testing.T, kind uint16, data []byte) {
		m := Message{Type: kind, Data: data}
		if l, err := decodeLink(m); err != nil && l.Index != 0 {
			t.Errorf("%+v with %v", l, err)
		}
		for _, carrier := range []uint16{unix.IFA_ADDRESS, unix.IFA_ANYCAST} {
			if _, a, err := decodeAddress(m, carrier); err == nil && a.Addr.IsValid() && !a.Addr.Is6() {
				t.Errorf("address %+v", a)
			}
		}
		if _, err := decodeEntry(m); err == nil && kind != unix.RTM_NEWNEIGH {
			t.Error("an entry from another message")
		}
		_, _, _ = split(data, 1, func(m Message) error {
			_, _ = decodeLink(m)
			return nil
		})
	})
}
