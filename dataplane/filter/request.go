package filter

import (
	"errors"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// nfgenLen is sizeof(struct nfgenmsg).
const nfgenLen = 4

// named is one attribute with a NUL-terminated string.
func (r *reader) named(kind uint16, value string) []byte {
	b, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: kind, Data: append([]byte(value), 0)}})
	if err != nil { // only an attribute above 64 KiB fails; names are short
		return nil
	}
	return b
}

// get asks for one object; nil attributes mean that there is none.
func (r *reader) get(message uint16, request []byte) (attributes, error) {
	out, err := r.request(message, 0, request)
	if errors.Is(err, unix.ENOENT) || err == nil && len(out) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// dump asks for a list. An object that the list belongs to and that is gone
// makes the whole read start again.
func (r *reader) dump(message uint16, request []byte) ([]attributes, error) {
	out, err := r.request(message, netlink.Dump, request)
	if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOENT) {
		return nil, errInterrupted
	}
	return out, err
}

func (r *reader) request(message uint16, flags netlink.HeaderFlags, request []byte) ([]attributes, error) {
	messages, err := r.nl.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | message),
			Flags: netlink.Request | flags,
		},
		Data: append([]byte{r.family, unix.NFNETLINK_V0, 0, 0}, request...),
	})
	if err != nil {
		return nil, err
	}
	out := make([]attributes, 0, len(messages))
	for _, m := range messages {
		if m.Header.Flags&netlink.DumpInterrupted != 0 {
			return nil, errInterrupted
		}
		if len(m.Data) < nfgenLen {
			return nil, errors.New("nftables message is too short")
		}
		a, err := parse(m.Data[nfgenLen:])
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}
