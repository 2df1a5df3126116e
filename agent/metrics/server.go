package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/netutil"

	"neutron-ndp-proxy-agent/agent/admin"
)

// What clients may take. Each connection is for one request, so that nobody holds one
// of the few for longer than the limits together.
const (
	maxClients  = 8
	maxHeader   = 8 << 10
	maxBody     = 4 << 10
	headerLimit = 2 * time.Second
	readLimit   = 3 * time.Second
	writeLimit  = 5 * time.Second
	// listenEvery is how often an address that can't be listened on is tried again.
	listenEvery = 5 * time.Second
)

// unixPrefix begins the address of a socket in the file system.
const unixPrefix = "unix:"

// ServerOptions are those of [NewServer].
type ServerOptions struct {
	// Address is host:port, [host]:port, or unix:/path; "": none.
	Address  string
	Handlers map[string]http.Handler
	Log      *zap.Logger
}

// Server answers on an address of its own.
type Server struct {
	o       ServerOptions
	every   time.Duration
	trouble string // what was said of the address, "" if it is well
}

// NewServer returns a server; Run does the work.
func NewServer(o ServerOptions) *Server { return &Server{o: o, every: listenEvery} }

// Run answers until the context ends. It returns no error: the daemon works as well
// without, so what can't be listened on is said once and tried again.
func (s *Server) Run(ctx context.Context) error {
	if s.o.Address == "" {
		return nil
	}
	for {
		err := s.serve(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err.Error() != s.trouble {
			s.trouble = err.Error()
			s.o.Log.Warn("metrics_listen can't be used, trying again; nothing else depends on it",
				zap.String("metrics_listen", s.o.Address), zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(s.every):
		}
	}
}

// serve answers on one listener until the context ends, or says why it can't.
func (s *Server) serve(ctx context.Context) error {
	l, err := s.listen(ctx)
	if err != nil {
		return err
	}
	s.trouble = ""
	address := l.Addr().String()
	s.o.Log.Info("metrics are served", zap.String("address", address))
	if open(l.Addr()) {
		s.o.Log.Warn("metrics_listen is no loopback address: whoever reaches it reads the metrics, without encryption or password",
			zap.String("address", address))
	}
	web := s.web()
	stop := context.AfterFunc(ctx, func() { _ = web.Close() }) // ends Serve
	defer stop()
	defer func() { _ = l.Close() }()
	if err := web.Serve(netutil.LimitListener(l, maxClients)); err != nil {
		return err
	}
	return errors.New("the listener ended")
}

func (s *Server) listen(ctx context.Context) (net.Listener, error) {
	if path, is := strings.CutPrefix(s.o.Address, unixPrefix); is {
		return admin.Listen(ctx, path)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.o.Address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// open reports whether an address can be reached from other machines.
func open(a net.Addr) bool {
	at, err := netip.ParseAddrPort(a.String())
	return err == nil && !at.Addr().Unmap().IsLoopback()
}

func (s *Server) web() *http.Server {
	mux := http.NewServeMux()
	for pattern, h := range s.o.Handlers {
		mux.Handle(pattern, h)
	}
	complaints, err := zap.NewStdLogAt(s.o.Log, zap.DebugLevel)
	if err != nil {
		complaints = zap.NewStdLog(s.o.Log)
	}
	web := &http.Server{
		Handler:           http.MaxBytesHandler(mux, maxBody),
		ReadHeaderTimeout: headerLimit, ReadTimeout: readLimit, WriteTimeout: writeLimit,
		MaxHeaderBytes: maxHeader, ErrorLog: complaints,
	}
	web.SetKeepAlivesEnabled(false)
	return web
}
