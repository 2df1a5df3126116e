package ndsend

import (
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchSize is how many messages go to the kernel in one system call: enough
// that the call itself costs nothing beside the messages (it takes up to
// UIO_MAXIOV, 1,024), few enough that a burst which is to end does so within a
// millisecond.
const batchSize = 128

// messageHeader is struct mmsghdr of sendmmsg(2). Go aligns the end as C does.
type messageHeader struct {
	header unix.Msghdr
	_      uint32 // how many bytes were sent
}

// batch sends equally long messages to one destination with one control
// message, which is what a burst is. It is our own because x/sys has no
// sendmmsg, and x/net's takes the device by its name (see [socket]).
type batch struct {
	to      unix.RawSockaddrInet6
	control []byte
	headers [batchSize]messageHeader
	vectors [batchSize]unix.Iovec
}

func newBatch(from device) *batch {
	index := uint32(from.index)
	return &batch{
		to: unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: AllNodes().As16(), Scope_id: index},
		// The source goes along with each message (IPV6_PKTINFO, RFC 3542
		// section 6.1), so that the kernel chooses no other: left alone it
		// takes a global address while the link-local one is tentative. And it
		// checks what it is given in the same call: a source that went away or
		// became tentative after we read it is refused with EINVAL.
		control: unix.PktInfo6(&unix.Inet6Pktinfo{Addr: from.source.As16(), Ifindex: index}),
	}
}

// send hands messages, one after the other in a single slice, each of size
// bytes and at most batchSize of them, to the kernel in their order. It returns
// how many were taken and what the kernel said of the next.
func (b *batch) send(fd int, messages []byte, size int) (taken int, err error) {
	total := len(messages) / size
	for i := range total {
		b.vectors[i].Base = &messages[i*size]
		b.vectors[i].SetLen(size)
		h := &b.headers[i].header
		h.Name = (*byte)(unsafe.Pointer(&b.to)) // #nosec G103 -- what the system call takes
		h.Namelen = unix.SizeofSockaddrInet6
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
		h.Control = &b.control[0]
		h.SetControllen(len(b.control))
	}
	for taken < total {
		// The kernel tells of a failure only when it concerns the first
		// message of a call, so each failure costs one call more.
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd),
			uintptr(unsafe.Pointer(&b.headers[taken])), // #nosec G103 -- likewise
			uintptr(total-taken), 0, 0, 0)
		switch {
		case errors.Is(errno, unix.EINTR):
		case errno != 0:
			return taken, errno
		default:
			taken += int(n)
		}
	}
	runtime.KeepAlive(b)
	return taken, nil
}
