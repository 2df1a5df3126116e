package nettools

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"
)

// EchoServer answers UDP datagrams with themselves until it is closed.
type EchoServer struct {
	conn *net.UDPConn
	done chan struct{}
}

// StartEcho listens on an address of the namespace; the port is the kernel's choice.
func StartEcho(ns string, addr netip.Addr) (*EchoServer, error) {
	s := &EchoServer{done: make(chan struct{})}
	err := In(ns, func() (err error) {
		s.conn, err = net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("UDP echo in %s: %w", ns, err)
	}
	go func() {
		defer close(s.done)
		buf := make([]byte, 2048)
		for {
			n, from, err := s.conn.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				// a reply that cannot be sent is a lost one; the flow counts it
				_, _ = s.conn.WriteToUDPAddrPort(buf[:n], from)
			}
		}
	}()
	return s, nil
}

// Addr is where the server listens.
func (s *EchoServer) Addr() netip.AddrPort {
	return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() //nolint:forcetypeassert // a UDP socket's
}

// Close ends the server.
func (s *EchoServer) Close() error {
	err := s.conn.Close()
	<-s.done
	return err
}

// FlowReport says what became of a UDP flow.
type FlowReport struct {
	Sent    int
	Lost    []int // sequence numbers
	Median  time.Duration
	Longest time.Duration
}

func (r FlowReport) String() string {
	return fmt.Sprintf("UDP flow: %d sent, %d lost %v, round trip median %v, longest %v", r.Sent, len(r.Lost), r.Lost, r.Median, r.Longest)
}

// Flow sends n datagrams to an EchoServer at the interval and waits up to a second for the last
// replies. A UDP sender confirms no neighbour: without answers to the unicast solicitations of its
// NUD the flow is interrupted (facts.md, "A trap for tests").
func Flow(ctx context.Context, ns string, to netip.AddrPort, n int, interval time.Duration) (FlowReport, error) {
	var conn *net.UDPConn
	err := In(ns, func() (err error) {
		conn, err = net.DialUDP("udp6", nil, net.UDPAddrFromAddrPort(to))
		return err
	})
	if err != nil {
		return FlowReport{}, fmt.Errorf("UDP flow from %s: %w", ns, err)
	}
	defer conn.Close()

	sent := make([]time.Time, n)
	took := make([]time.Duration, n)
	var mu sync.Mutex
	var reading sync.WaitGroup
	reading.Go(func() {
		buf := make([]byte, 2048)
		for {
			size, err := conn.Read(buf)
			now := time.Now()
			if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil || size < 4 {
				continue // an ICMP error of the path: the datagram it is about is lost
			}
			mu.Lock()
			if i := int(binary.BigEndian.Uint32(buf)); i < n && took[i] == 0 {
				took[i] = now.Sub(sent[i])
			}
			mu.Unlock()
		}
	})
	next := time.Now()
	count := 0
	for ; count < n && ctx.Err() == nil; count++ {
		mu.Lock()
		sent[count] = time.Now()
		mu.Unlock()
		// what cannot be sent is lost; a refused earlier one is reported here too
		_, _ = conn.Write(binary.BigEndian.AppendUint32(nil, uint32(count)))
		next = next.Add(interval)
		time.Sleep(time.Until(next))
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return FlowReport{}, fmt.Errorf("UDP flow from %s: %w", ns, err)
	}
	reading.Wait()
	return flowReport(took[:count]), ctx.Err()
}

func flowReport(took []time.Duration) FlowReport {
	r := FlowReport{Sent: len(took)}
	var ok []time.Duration
	for i, d := range took {
		if d == 0 {
			r.Lost = append(r.Lost, i)
			continue
		}
		ok = append(ok, d)
	}
	if slices.Sort(ok); len(ok) > 0 {
		r.Median, r.Longest = ok[len(ok)/2], ok[len(ok)-1]
	}
	return r
}
