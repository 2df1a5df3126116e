//go:build rabbitmq

package chaos

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/nettest"
)

// flow is a stream of numbered UDP datagrams to an echo, for as long as the test
// lasts. UDP confirms no neighbour entries, so the sender goes on asking who has
// the address.
type flow struct {
	name string
	conn *net.UDPConn

	mu   sync.Mutex
	sent []time.Time
	got  []bool
}

// straggle is how long an answer may take before it counts as lost: the machine
// has other things to do.
const straggle = 2 * time.Second

func startFlow(t testing.TB, from *nettest.Namespace, to netip.AddrPort, every time.Duration) *flow {
	t.Helper()
	f := &flow{name: fmt.Sprintf("%s to %s", from.Name, to.Addr())}
	from.Do(func() (err error) {
		f.conn, err = net.DialUDP("udp6", nil, net.UDPAddrFromAddrPort(to))
		return err
	})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			f.mu.Lock()
			n := len(f.sent)
			f.sent, f.got = append(f.sent, time.Now()), append(f.got, false)
			f.mu.Unlock()
			_, _ = f.conn.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) // a failure is a loss
		}
	})
	wg.Go(func() {
		buffer := make([]byte, 64)
		for {
			size, err := f.conn.Read(buffer)
			select {
			case <-stop:
				return
			default:
			}
			if err != nil || size != 8 {
				continue // an ICMPv6 error for an earlier datagram
			}
			f.mu.Lock()
			if n := binary.BigEndian.Uint64(buffer); n < uint64(len(f.got)) {
				f.got[n] = true
			}
			f.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		close(stop)
		_ = f.conn.SetReadDeadline(time.Now())
		wg.Wait()
		_ = f.conn.Close()
	})
	return f
}

// mark is the number of the next datagram.
func (f *flow) mark() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sent)
}

// count waits for the answers to what was sent since a mark, and returns how
// many datagrams were sent and answered.
func (f *flow) count(mark int) (sent, answered int) {
	end := f.mark()
	for limit := time.Now().Add(straggle); ; time.Sleep(5 * time.Millisecond) {
		answered = f.answered(mark, end)
		if answered == end-mark || time.Now().After(limit) {
			return end - mark, answered
		}
	}
}

// answered are those of the datagrams from mark to end that were so far.
func (f *flow) answered(mark, end int) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, got := range f.got[mark:end] {
		if got {
			n++
		}
	}
	return n
}

// gaps tells when what was lost since a mark was sent, for a failure's report.
func (f *flow) gaps(mark int) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lost []string
	for i := mark; i < len(f.got); i++ {
		if !f.got[i] {
			lost = append(lost, f.sent[i].Format("05.000"))
		}
	}
	return strings.Join(lost[:min(len(lost), 20)], " ")
}

// pings is a ping(8) that runs for a while.
type pings struct {
	file string
	stop func()
}

// startPings pings an address every 50 ms until stop.
func startPings(t testing.TB, from *nettest.Namespace, to netip.Addr) *pings {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "ping"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := from.StartTo(out, "ping", "-6", "-n", "-O", "-i", "0.05", to.String())
	return &pings{file: out.Name(), stop: func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_, _ = cmd.Process.Wait()
		_ = out.Close()
	}}
}

// end stops the pings and returns how many were answered, and how many never.
func (p *pings) end() (answered, lost int, err error) {
	p.stop()
	text, err := os.ReadFile(p.file)
	if err != nil {
		return 0, 0, err
	}
	answered, lost = countPings(string(text))
	return answered, lost, nil
}

var pingLine = regexp.MustCompile(`(?m)^(no answer yet for|\d+ bytes from \S+) icmp_seq=(\d+)`)

// countPings reads what ping -O wrote. It says "no answer yet" also where it did not
// come to read the answer before the next was due, as on a busy machine: that is no
// loss if the answer is in a later line.
func countPings(text string) (answered, lost int) {
	seen := map[string]bool{}
	for _, m := range pingLine.FindAllStringSubmatch(text, -1) {
		seen[m[2]] = seen[m[2]] || m[1] != "no answer yet for"
	}
	for _, came := range seen {
		if came {
			answered++
		} else {
			lost++
		}
	}
	return answered, lost
}

func TestCountPings(t *testing.T) {
	const text = `PING 2001:db8::5(2001:db8::5) 56 data bytes
64 bytes from 2001:db8::5: icmp_seq=1 ttl=63 time=0.100 ms
no answer yet for icmp_seq=2
64 bytes from 2001:db8::5: icmp_seq=2 ttl=63 time=51.0 ms
64 bytes from 2001:db8::5: icmp_seq=3 ttl=63 time=0.100 ms
no answer yet for icmp_seq=4
64 bytes from 2001:db8::5: icmp_seq=12 ttl=63 time=0.100 ms
`
	if answered, lost := countPings(text); answered != 4 || lost != 1 {
		t.Errorf("%d answered, %d lost", answered, lost)
	}
}
