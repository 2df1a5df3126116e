package rabbit

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The account of every broker that this package starts.
const (
	User     = "neutron"
	Password = "neutron-secret"
)

const (
	serverBin = "/usr/lib/rabbitmq/bin/rabbitmq-server"
	ctlBin    = "/usr/lib/rabbitmq/bin/rabbitmqctl"
	// startTimeout is generous: the machine may be busy with other tests.
	startTimeout = 120 * time.Second
)

// Broker is one private RabbitMQ.
type Broker struct {
	// Host and Port are where it listens for AMQP.
	Host string
	Port int
	// TLSPort is where it listens with TLS, if told to by [StartTLS].
	TLSPort int
	// URL is "amqp://neutron:neutron-secret@127.0.0.1:<port>/", for the virtual
	// host "/".
	URL string
	// Dir holds data, logs and settings.
	Dir string

	tls *TLS // nil: no listener with TLS

	epmdPort, distPort, httpPort int
	logf                         func(string, ...any)
	epmd                         *process

	mu     sync.Mutex
	server *process
	vhosts int
}

// Start starts a broker and stops it when the test is over. It skips nothing:
// without the package it fails.
func Start(t testing.TB) *Broker {
	t.Helper()
	b, err := New(t.TempDir(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// New starts a broker that keeps everything in dir. The caller closes it.
func New(dir string, logf func(string, ...any)) (*Broker, error) { return newBroker(dir, logf, nil) }

func newBroker(dir string, logf func(string, ...any), secure *TLS) (*Broker, error) {
	for _, f := range []string{serverBin, ctlBin} {
		if _, err := os.Stat(f); err != nil {
			return nil, fmt.Errorf("rabbit: %s is missing: install Debian's package rabbitmq-server: %w", f, err)
		}
	}
	if logf == nil {
		logf = func(string, ...any) {}
	}
	b := &Broker{Host: "127.0.0.1", Dir: dir, tls: secure, logf: logf}
	ports, err := freePorts(5)
	if err != nil {
		return nil, err
	}
	b.Port, b.epmdPort, b.distPort, b.httpPort = ports[0], ports[1], ports[2], ports[3]
	if secure != nil {
		b.TLSPort = ports[4]
	}
	b.URL = b.vhostURL("/")
	if err := b.settings(); err != nil {
		return nil, err
	}
	if b.epmd, err = start(b.path("epmd.log"), b.env(), "epmd", "-address", "127.0.0.1", "-port", strconv.Itoa(b.epmdPort)); err != nil {
		return nil, err
	}
	if err := b.Run(); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// freePorts finds TCP ports that nobody listens on. They are held together, so
// that they differ, and given back before use.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("rabbit: find a free port: %w", err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func (b *Broker) path(name string) string { return filepath.Join(b.Dir, name) }

func (b *Broker) vhostURL(vhost string) string {
	return fmt.Sprintf("amqp://%s:%s@%s:%d/%s", User, Password, b.Host, b.Port, url.PathEscape(strings.TrimPrefix(vhost, "/")))
}

// settings writes what the broker reads at start.
func (b *Broker) settings() error {
	cookie := make([]byte, 16)
	_, _ = rand.Read(cookie) // documented never to fail
	more := ""
	if b.tls != nil {
		more = b.tls.conf(b.TLSPort)
	}
	for _, f := range []struct {
		name, text string
		mode       os.FileMode
	}{
		{".erlang.cookie", hex.EncodeToString(cookie), 0o400},
		{"enabled_plugins", "[rabbitmq_management].\n", 0o600},
		{"rabbitmq.conf", fmt.Sprintf(`listeners.tcp.1 = 127.0.0.1:%d
management.tcp.ip = 127.0.0.1
management.tcp.port = %d
log.console = false
default_user = %s
default_pass = %s
default_user_tags.administrator = true
loopback_users = none
# statistics are not wanted, and the sooner the objects are listed the better
collect_statistics_interval = 1000
%s`, b.Port, b.httpPort, User, Password, more), 0o600},
	} {
		if err := os.WriteFile(b.path(f.name), []byte(f.text), f.mode); err != nil {
			return fmt.Errorf("rabbit: %w", err)
		}
	}
	for _, d := range []string{"mnesia", "log"} {
		if err := os.MkdirAll(b.path(d), 0o700); err != nil {
			return fmt.Errorf("rabbit: %w", err)
		}
	}
	return nil
}

// env is a clean environment: nothing of the system's broker or of the caller's.
func (b *Broker) env() []string {
	return []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=" + b.Dir,
		"RABBITMQ_NODENAME=rabbit@localhost",
		"RABBITMQ_MNESIA_BASE=" + b.path("mnesia"),
		"RABBITMQ_LOG_BASE=" + b.path("log"),
		"RABBITMQ_PID_FILE=" + b.path("rabbit.pid"),
		"RABBITMQ_CONFIG_FILE=" + b.path("rabbitmq.conf"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + b.path("enabled_plugins"),
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(b.distPort),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} -ssl bypass_pem_cache true",
		// Fewer schedulers and no spinning: the machine is shared.
		"RABBITMQ_SCHEDULER_BIND_TYPE=u",
		"RABBITMQ_SERVER_ERL_ARGS=+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
		"ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT=" + strconv.Itoa(b.epmdPort),
		// The script then becomes the broker instead of a parent of it, so that
		// its pid is the broker's.
		"RUNNING_UNDER_SYSTEMD=1",
	}
}

// Run starts the server, after Stop or Kill, on the same ports and data, and
// waits until it serves.
func (b *Broker) Run() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server != nil {
		return errors.New("rabbit: already running")
	}
	p, err := start(b.path("server.log"), b.env(), serverBin)
	if err != nil {
		return err
	}
	b.server = p
	began := time.Now()
	for !b.serves() {
		if p.exited() {
			b.server = nil
			return fmt.Errorf("rabbit: server exited at start: %s", b.LogTail())
		}
		if time.Since(began) > startTimeout {
			return fmt.Errorf("rabbit: server does not serve after %v: %s", startTimeout, b.LogTail())
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.logf("rabbit: serving on port %d after %v", b.Port, time.Since(began).Round(10*time.Millisecond))
	return nil
}

// Wipe removes the database of a stopped server: the next run knows nothing but
// [User].
func (b *Broker) Wipe() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server != nil {
		return errors.New("rabbit: still running")
	}
	if err := os.RemoveAll(b.path("mnesia")); err != nil {
		return fmt.Errorf("rabbit: %w", err)
	}
	return os.MkdirAll(b.path("mnesia"), 0o700)
}

// Stop stops the server in an orderly way (SIGTERM): it closes its connections
// with a reason.
func (b *Broker) Stop() error { return b.end(syscall.SIGTERM) }

// Kill kills the server (SIGKILL).
func (b *Broker) Kill() error { return b.end(syscall.SIGKILL) }

func (b *Broker) end(sig syscall.Signal) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server == nil {
		return nil
	}
	p := b.server
	b.server = nil
	return p.stop(sig, 60*time.Second)
}

// Pause stops the server from running at all (SIGSTOP): connections stay open
// and silent. Resume continues it.
func (b *Broker) Pause() error { return b.signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (b *Broker) Resume() error { return b.signal(syscall.SIGCONT) }

func (b *Broker) signal(sig syscall.Signal) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server == nil {
		return errors.New("rabbit: not running")
	}
	return b.server.signal(sig)
}

// Close stops everything.
func (b *Broker) Close() {
	if err := b.Kill(); err != nil {
		b.logf("rabbit: %v", err)
	}
	if b.epmd != nil {
		if err := b.epmd.stop(syscall.SIGKILL, 10*time.Second); err != nil {
			b.logf("rabbit: epmd: %v", err)
		}
	}
}

// LogTail returns the end of the server's output and log.
func (b *Broker) LogTail() string {
	var out strings.Builder
	for _, f := range []string{b.path("server.log"), b.path("log/rabbit@localhost.log")} {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		if len(text) > 2000 {
			text = text[len(text)-2000:]
		}
		fmt.Fprintf(&out, "\n%s:\n%s", f, text)
	}
	return out.String()
}
