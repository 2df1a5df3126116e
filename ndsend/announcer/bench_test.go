package announcer

import (
	"net"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/ndsend"
	"neutron-ndp-proxy-agent/ndsend/internal/nstest"
)

// BenchmarkThousands sends 10,000 announcements without a pace, from Owe to the
// last, and in the same run by a bare loop of sendmmsg(2) that knows the device,
// has its socket open and its messages encoded. The ratio is what the engine
// costs beside the kernel.
func BenchmarkThousands(b *testing.B) {
	ours, upstream := nstest.New(b), nstest.New(b)
	nstest.Link(b, ours, "qg-1", upstream, "up0")
	bare := newBareLoop(b, ours)
	settled := make(chan struct{}, 1)
	a := New(b.Context(), Options{
		Count: 1, Rate: Unpaced,
		Enter:   func(_ string, fn func() error) error { return ours.Enter(fn) },
		Settled: func(Target) { settled <- struct{}{} },
	})
	defer a.Close()
	addrs := several(0, thousands)
	var floor, engine, ratio []float64
	for b.Loop() {
		start := time.Now()
		bare.send(b)
		least := time.Since(start)
		start = time.Now()
		a.Owe(target(ours), addrs...)
		<-settled
		took := time.Since(start)
		floor = append(floor, least.Seconds()*1000)
		engine = append(engine, took.Seconds()*1000)
		ratio = append(ratio, took.Seconds()/least.Seconds())
	}
	if s := a.Stats(); s.Sent != uint64(len(ratio)*thousands) {
		b.Fatalf("%d sent, want %d: %+v", s.Sent, len(ratio)*thousands, s)
	}
	b.ReportMetric(median(floor), "bare-ms")
	b.ReportMetric(median(engine), "engine-ms")
	b.ReportMetric(median(ratio), "ratio")
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

// bareLoop is the floor: everything is prepared.
type bareLoop struct {
	fd      int
	headers []bareHeader
}

type bareHeader struct {
	unix.Msghdr
	_ uint32
}

func newBareLoop(b *testing.B, n *nstest.Namespace) *bareLoop {
	b.Helper()
	l := &bareLoop{headers: make([]bareHeader, thousands)}
	var index int
	err := n.Enter(func() (err error) {
		ifi, err := net.InterfaceByName("qg-1")
		if err != nil {
			return err
		}
		index = ifi.Index
		l.fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = unix.Close(l.fd) })
	if err := unix.SetsockoptInt(l.fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255); err != nil {
		b.Fatal(err)
	}
	if err := unix.SetsockoptInt(l.fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0); err != nil {
		b.Fatal(err)
	}
	to := &unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: ndsend.AllNodes().As16(), Scope_id: uint32(index)}
	control := unix.PktInfo6(&unix.Inet6Pktinfo{Addr: n.AwaitLinkLocal("qg-1").As16(), Ifindex: uint32(index)})
	mac := n.MAC("qg-1")
	for i, addr := range several(0, thousands) {
		message, err := ndsend.Advertisement(addr, mac, ndsend.Flags{})
		if err != nil {
			b.Fatal(err)
		}
		vector := &unix.Iovec{Base: &message[0]}
		vector.SetLen(len(message))
		h := &l.headers[i]
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(to)), unix.SizeofSockaddrInet6
		h.Iov, h.Control = vector, &control[0]
		h.SetIovlen(1)
		h.SetControllen(len(control))
	}
	return l
}

func (l *bareLoop) send(b *testing.B) {
	b.Helper()
	const most = 1024 // UIO_MAXIOV
	for at := 0; at < len(l.headers); {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(l.fd), uintptr(unsafe.Pointer(&l.headers[at])),
			uintptr(min(most, len(l.headers)-at)), 0, 0, 0)
		if errno != 0 {
			b.Fatal(errno)
		}
		at += int(n)
	}
}
