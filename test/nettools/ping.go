package nettools

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	echoRequest = 128
	echoReply   = 129
	// header (8), our 32-bit sequence number (4), padding (4)
	echoLength = 16
)

// PingConfig says what to ping and from where.
type PingConfig struct {
	Namespace string        // where the pinging host lives
	Target    netip.Addr    // a global or unique local address
	Interval  time.Duration // between two requests; default 10 ms
}

// Ping is one echo request and what became of it.
type Ping struct {
	Seq  int
	Sent time.Time
	RTT  time.Duration // 0: no reply
	Err  error         // the request could not be sent
}

// Lost tells whether no reply came.
func (p Ping) Lost() bool { return p.RTT == 0 }

// Pinger sends ICMPv6 echo requests (RFC 4443 section 4.1) at a fixed interval and remembers each.
//
// Unlike ping(8) it never sets MSG_CONFIRM, so the sender's own neighbour cache entry is not
// confirmed by it and ages as it does under any other traffic.
type Pinger struct {
	config PingConfig
	fd     int
	id     uint16
	stop   context.CancelFunc
	wait   sync.WaitGroup
	end    atomic.Int64 // Unix nanoseconds: what comes later is not waited for; 0 while it runs

	mu    sync.Mutex
	pings []Ping
	last  time.Time // when the last reply came
}

// several pingers may run in one process and namespace
var nextID atomic.Uint32

// StartPing begins to ping; end it with Stop.
func StartPing(c PingConfig) (*Pinger, error) {
	if c.Interval == 0 {
		c.Interval = 10 * time.Millisecond
	}
	p := &Pinger{config: c, id: uint16(nextID.Add(1) + uint32(unix.Getpid())<<4)}
	err := In(c.Namespace, func() (err error) {
		p.fd, err = echoSocket()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ping %s from %s: %w", c.Target, c.Namespace, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	p.wait.Add(2)
	go p.send(ctx)
	go p.receive()
	return p, nil
}

func echoSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
	if err != nil {
		return -1, fmt.Errorf("raw ICMPv6 socket: %w", err)
	}
	filter := unix.ICMPv6Filter{}
	for i := range filter.Data {
		filter.Data[i] = ^uint32(0)
	}
	filter.Data[echoReply>>5] &^= 1 << (echoReply & 31)
	steps := []error{
		unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &filter),
		// the kernel's own receive time: what our scheduling costs is not the network's
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1<<20),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}),
	}
	for _, err := range steps {
		if err != nil {
			_ = unix.Close(fd)
			return -1, fmt.Errorf("set up ICMPv6 socket: %w", err)
		}
	}
	return fd, nil
}

func (p *Pinger) send(ctx context.Context) {
	defer p.wait.Done()
	to := &unix.SockaddrInet6{Addr: p.config.Target.As16()}
	next := time.Now()
	for seq := 0; ctx.Err() == nil; seq++ {
		request := make([]byte, echoLength)
		request[0] = echoRequest
		binary.BigEndian.PutUint16(request[4:], p.id)
		binary.BigEndian.PutUint16(request[6:], uint16(seq))
		binary.BigEndian.PutUint32(request[8:], uint32(seq))
		p.mu.Lock()
		p.pings = append(p.pings, Ping{Seq: seq, Sent: time.Now()})
		p.mu.Unlock()
		if err := unix.Sendto(p.fd, request, 0, to); err != nil {
			p.mu.Lock()
			p.pings[seq].Err = err
			p.mu.Unlock()
		}
		// an absolute schedule: a late turn is followed by earlier ones, none is left out
		next = next.Add(p.config.Interval)
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(next)):
		}
	}
}

func (p *Pinger) receive() {
	defer p.wait.Done()
	buf, control := make([]byte, 2048), make([]byte, 256)
	for {
		n, cn, _, _, err := unix.Recvmsg(p.fd, buf, control, 0)
		if err != nil {
			// the timeout is how we notice the end; replies that are already queued are read first
			if p.end.Load() != 0 {
				return
			}
			continue
		}
		at := received(control[:cn])
		// other pingers of the namespace: their replies come here too, and may leave no time to time out
		if end := p.end.Load(); end != 0 && at.UnixNano() > end {
			return
		}
		if n < echoLength || buf[0] != echoReply || binary.BigEndian.Uint16(buf[4:]) != p.id {
			continue
		}
		seq := int(binary.BigEndian.Uint32(buf[8:]))
		p.mu.Lock()
		if seq < len(p.pings) && p.pings[seq].RTT == 0 {
			p.pings[seq].RTT = max(at.Sub(p.pings[seq].Sent), time.Nanosecond)
			p.last = at
		}
		p.mu.Unlock()
	}
}

// received returns the kernel's receive time, or now.
func received(control []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(control)
	if err == nil {
		for _, m := range messages {
			if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16 {
				return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
			}
		}
	}
	return time.Now()
}

// Sent is the number of requests so far.
func (p *Pinger) Sent() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pings)
}

// AwaitSent waits until n more requests have left: time measured in pings.
func (p *Pinger) AwaitSent(ctx context.Context, n int) error {
	until := p.Sent() + n
	for p.Sent() < until {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %d pings: %w", n, ctx.Err())
		case <-time.After(p.config.Interval):
		}
	}
	return nil
}

// LastReply is the time of the last reply; zero if there was none.
func (p *Pinger) LastReply() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// Stop ends the sending, gives replies that are under way up to a second, and reports.
func (p *Pinger) Stop() PingReport {
	p.stop()
	deadline := time.Now().Add(time.Second)
	for time.Now().Before(deadline) && p.open() {
		time.Sleep(5 * time.Millisecond)
	}
	p.end.Store(time.Now().UnixNano())
	p.wait.Wait()
	_ = unix.Close(p.fd)
	return PingReport{Config: p.config, Pings: p.pings}
}

// open tells whether the last request may still be answered; earlier ones are judged with it.
func (p *Pinger) open() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pings) > 0 && p.pings[len(p.pings)-1].Lost()
}

// PingReport is what a Pinger saw, in order.
type PingReport struct {
	Config PingConfig
	Pings  []Ping
}

// Lost returns the requests without a reply.
func (r PingReport) Lost() []Ping {
	var lost []Ping
	for _, p := range r.Pings {
		if p.Lost() {
			lost = append(lost, p)
		}
	}
	return lost
}

// sorted returns the round trips of the answered ones in ascending order.
func (r PingReport) sorted() []time.Duration {
	var rtt []time.Duration
	for _, p := range r.Pings {
		if !p.Lost() {
			rtt = append(rtt, p.RTT)
		}
	}
	slices.Sort(rtt)
	return rtt
}

// String is one line with the totals and one for each uninterrupted run of lost pings.
func (r PingReport) String() string {
	var b strings.Builder
	rtt, lost := r.sorted(), r.Lost()
	fmt.Fprintf(&b, "ping %s from %s every %v: %d sent, %d lost", r.Config.Target, r.Config.Namespace, r.Config.Interval, len(r.Pings), len(lost))
	if len(rtt) > 0 {
		fmt.Fprintf(&b, ", round trip median %v, longest %v", rtt[len(rtt)/2], rtt[len(rtt)-1])
	}
	for i := 0; i < len(lost); {
		j := i
		for j+1 < len(lost) && lost[j+1].Seq == lost[j].Seq+1 {
			j++
		}
		fmt.Fprintf(&b, "\n  lost %d to %d, from %s for %v", lost[i].Seq, lost[j].Seq,
			lost[i].Sent.Format("15:04:05.000"), lost[j].Sent.Sub(lost[i].Sent)+r.Config.Interval)
		if lost[i].Err != nil {
			fmt.Fprintf(&b, " (%v)", lost[i].Err)
		}
		i = j + 1
	}
	return b.String()
}
