package rtnl

import (
	"encoding/binary"
	"iter"

	"golang.org/x/sys/unix"
)

// Append appends an attribute to a request, padded as the next one needs it.
func Append(request []byte, kind uint16, value []byte) []byte {
	request = binary.NativeEndian.AppendUint16(request, uint16(unix.SizeofRtAttr+len(value)))
	request = binary.NativeEndian.AppendUint16(request, kind)
	request = append(request, value...)
	return append(request, make([]byte, align(len(value))-len(value))...)
}

// AppendUint32 appends an attribute that is a number of the machine's order.
func AppendUint32(request []byte, kind uint16, value uint32) []byte {
	return Append(request, kind, binary.NativeEndian.AppendUint32(nil, value))
}

// Attributes are those of an answer after its fixed header of headerSize bytes,
// or those within an attribute (headerSize 0). What is malformed ends them.
func Attributes(data []byte, headerSize int) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		if len(data) < headerSize {
			return
		}
		rest := data[headerSize:]
		for len(rest) >= unix.SizeofRtAttr {
			length := int(binary.NativeEndian.Uint16(rest))
			if length < unix.SizeofRtAttr || length > len(rest) {
				return
			}
			kind := binary.NativeEndian.Uint16(rest[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
			if !yield(kind, rest[unix.SizeofRtAttr:length]) {
				return
			}
			rest = rest[min(align(length), len(rest)):]
		}
	}
}

// Uint32 reads a number of the machine's order; zero if it is too short.
func Uint32(value []byte) uint32 {
	if len(value) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(value)
}

// align rounds up to where the next attribute begins.
func align(n int) int { return (n + unix.RTA_ALIGNTO - 1) &^ (unix.RTA_ALIGNTO - 1) }
