package nettest

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// UDPEcho answers UDP datagrams on an address of the namespace until the test
// ends.
func (n *Namespace) UDPEcho(at netip.AddrPort) {
	n.t.Helper()
	var conn *net.UDPConn
	n.Do(func() (err error) {
		conn, err = net.ListenUDP("udp6", net.UDPAddrFromAddrPort(at))
		return err
	})
	var done sync.WaitGroup
	done.Go(func() {
		buffer := make([]byte, 2048)
		for {
			size, from, err := conn.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return // closed
			}
			_, _ = conn.WriteToUDPAddrPort(buffer[:size], from) // a lost answer is the measurement's
		}
	})
	n.t.Cleanup(func() { _ = conn.Close(); done.Wait() })
}

// Flow is what became of a stream of datagrams.
type Flow struct {
	Sent, Received int
	// Worst is the longest time to an answer, Gap the longest between two.
	Worst, Gap time.Duration
}

// UDPFlow sends datagrams to an echoing address until the context ends, and
// waits a little for the last answers. Unlike ping, UDP does not confirm
// neighbour entries, so it shows what unreachability detection does to traffic.
func (n *Namespace) UDPFlow(ctx context.Context, to netip.AddrPort, interval time.Duration) Flow {
	n.t.Helper()
	var conn *net.UDPConn
	n.Do(func() (err error) {
		conn, err = net.DialUDP("udp6", nil, net.UDPAddrFromAddrPort(to))
		return err
	})
	var f Flow
	var received atomic.Int64
	var last time.Time
	start := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 64)
		for {
			size, err := conn.Read(buffer)
			if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil || size != 8 {
				continue // an ICMPv6 error for an earlier datagram
			}
			if received.Add(1) > 1 {
				f.Gap = max(f.Gap, time.Since(last))
			}
			last = time.Now()
			sent := time.Duration(binary.BigEndian.Uint64(buffer))
			f.Worst = max(f.Worst, time.Since(start)-sent)
		}
	}()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	sent := 0
	for ctx.Err() == nil {
		if _, err := conn.Write(binary.BigEndian.AppendUint64(nil, uint64(time.Since(start)))); err == nil {
			sent++
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	for end := time.Now().Add(500 * time.Millisecond); int(received.Load()) < sent && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if err := conn.SetReadDeadline(time.Now()); err != nil {
		n.t.Errorf("read deadline: %v", err)
	}
	<-done
	if err := conn.Close(); err != nil {
		n.t.Errorf("close: %v", err)
	}
	f.Sent, f.Received = sent, int(received.Load())
	return f
}
