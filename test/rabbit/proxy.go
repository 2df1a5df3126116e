package rabbit

import (
	"crypto/tls"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Proxy is a TCP relay in front of a broker that can go silent.
type Proxy struct {
	// Host and Port are where it listens.
	Host string
	Port int

	target string
	wg     sync.WaitGroup

	mu     sync.Mutex
	thawed chan struct{} // closed while bytes are forwarded
	conns  map[net.Conn]struct{}
	tear   bool // the next answer
	closed bool
}

// NewProxy starts a relay to the broker; it stops with the test.
func (b *Broker) NewProxy(t testing.TB) *Proxy {
	t.Helper()
	return b.newProxy(t, nil, nil)
}

// NewProxyOn is a relay on a listener of one's own, such as one in another
// network namespace, which it closes.
func (b *Broker) NewProxyOn(t testing.TB, l net.Listener) *Proxy {
	t.Helper()
	return b.newProxy(t, l, nil)
}

// NewTLSProxy is a relay that speaks TLS to its clients.
func (b *Broker) NewTLSProxy(t testing.TB, cert tls.Certificate) *Proxy {
	t.Helper()
	return b.newProxy(t, nil, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
}

func (b *Broker) newProxy(t testing.TB, l net.Listener, c *tls.Config) *Proxy {
	t.Helper()
	if l == nil {
		var err error
		if l, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	at := l.Addr().(*net.TCPAddr)
	p := &Proxy{Host: at.IP.String(), Port: at.Port,
		target: net.JoinHostPort(b.Host, strconv.Itoa(b.Port)),
		thawed: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	close(p.thawed)
	if c != nil {
		l = tls.NewListener(l, c)
	}
	p.wg.Go(func() { p.accept(l) })
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.Thaw()
		p.Cut()
		p.wg.Wait()
	})
	return p
}

func (p *Proxy) accept(l net.Listener) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp4", p.target)
		if err != nil {
			_ = in.Close()
			continue
		}
		p.mu.Lock()
		if p.closed {
			_, _ = in.Close(), out.Close()
		}
		p.conns[in], p.conns[out] = struct{}{}, struct{}{}
		p.mu.Unlock()
		p.wg.Go(func() { p.forward(in, out, false) })
		p.wg.Go(func() { p.forward(out, in, true) })
	}
}

// forward copies until either side closes; what arrives while frozen waits.
func (p *Proxy) forward(from, to net.Conn, answers bool) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		thawed, tear := p.thawed, p.tear && answers && n > 1
		p.tear = p.tear && !tear
		p.mu.Unlock()
		<-thawed
		if tear {
			_, _ = to.Write(buf[:n/2])
			reset(to)
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// Freeze makes the relay accept and keep connections but forward nothing, as a
// broker that hangs or a path that lost its way.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.thawed:
		p.thawed = make(chan struct{})
	default:
	}
}

// Thaw forwards again, including what waited.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.thawed:
	default:
		close(p.thawed)
	}
}

// Tear makes the relay send only half of the next bytes that come from the
// broker, and then reset the client's connection (RST): the end of a peer in the
// middle of a frame.
func (p *Proxy) Tear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tear = true
}

// reset closes a connection by RST.
func reset(c net.Conn) {
	if tcp, is := c.(*net.TCPConn); is {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// Reset ends all connections by RST.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		reset(c)
	}
	clear(p.conns)
}

// Cut closes all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}
