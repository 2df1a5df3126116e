package filter

import (
	"encoding/binary"
	"strings"

	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// commentOf returns the comment in user data as nft writes it: type, length,
// text. Other programs' user data may be anything.
func commentOf(data []byte) string {
	const header = 2
	for len(data) >= header && len(data) >= header+int(data[1]) {
		kind, text := userdata.Type(data[0]), data[header:header+int(data[1])]
		if kind == userdata.TypeComment { // the same number for rules and elements
			return strings.TrimRight(string(text), "\x00")
		}
		data = data[header+int(data[1]):]
	}
	return ""
}

// attributes are netlink attributes by type; integers are big endian in
// nfnetlink.
type attributes map[uint16][]byte

func parse(b []byte) (attributes, error) {
	list, err := netlink.UnmarshalAttributes(b)
	if err != nil {
		return nil, err
	}
	out := make(attributes, len(list))
	for _, a := range list {
		out[a.Type&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER)] = a.Data
	}
	return out, nil
}

func (a attributes) uint32(kind uint16) uint32 {
	if b := a[kind]; len(b) == 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (a attributes) text(kind uint16) string { return strings.TrimRight(string(a[kind]), "\x00") }

func (a attributes) nested(kind uint16) attributes {
	n, err := parse(a[kind])
	if err != nil {
		return nil // reads as empty, which is not what we wrote
	}
	return n
}
