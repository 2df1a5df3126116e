package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/netutil"
)

// What one client, and all of them, may take. Each connection is for one request, so
// that none is held for longer than the first three times together; who comes when
// maxClients are there waits in the kernel's queue, and then is refused by it.
const (
	maxClients   = 8
	maxHeader    = 8 << 10
	maxBody      = 64 << 10
	headerLimit  = 2 * time.Second
	readLimit    = 3 * time.Second // of the whole request
	writeLimit   = 5 * time.Second // of the answer, from the end of the header on
	computeLimit = 2 * time.Second // of the status, until another one's question is answered
)

// lookEvery is how often the socket is looked after, and tried again.
const lookEvery = 5 * time.Second

// Options of a Server.
type Options struct {
	// Path of the socket; "": none.
	Path string
	// Status is what GET /v1/status answers. It is called by one client at a time,
	// and must not wait for the outside. Its error is a [*Refusal].
	Status func(Query) (Status, error)
	// Methods are what else can be asked for.
	Methods []Method
	// Handlers answer in another form than JSON, by a pattern of [http.ServeMux].
	// Each bounds itself, and has no more than writeLimit.
	Handlers map[string]http.Handler
	Log      *zap.Logger
}

// Server answers at the control socket.
type Server struct {
	o Options
	// every is lookEvery.
	every time.Duration
	// methods are those of the options, and the status.
	methods []*method
	// trouble is what was said of the socket, "" if it is well.
	trouble string
}

// New returns a server; Run does the work.
func New(o Options) *Server {
	s := &Server{o: o, every: lookEvery}
	status := Method{
		Pattern: "GET /v1/status", Limit: computeLimit,
		Answer: func(_ context.Context, values url.Values) (any, error) {
			q, err := parseQuery(values)
			if err != nil {
				return nil, err
			}
			return o.Status(q)
		},
	}
	for _, m := range append([]Method{status}, o.Methods...) {
		s.methods = append(s.methods, newMethod(m, o.Log))
	}
	return s
}

// Run answers until the context ends, and then removes the socket. It returns no
// error: without a socket the daemon works as well.
func (s *Server) Run(ctx context.Context) error {
	if s.o.Path == "" {
		return nil
	}
	for {
		if err := s.serve(ctx); ctx.Err() == nil && err.Error() != s.trouble {
			s.trouble = err.Error()
			s.o.Log.Warn("the control socket can't be used, trying again; nothing else depends on it",
				zap.String("control_socket", s.o.Path), zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(s.every):
		}
	}
}

var errTaken = errors.New("somebody removed or replaced it")

// serve answers on one socket until the context ends, or says why it can't.
func (s *Server) serve(ctx context.Context) error {
	l, err := listen(ctx, s.o.Path)
	if err != nil {
		return err
	}
	web := s.web(ctx)
	defer func() {
		if err := errors.Join(web.Close(), ignoreClosed(l.Close())); err != nil {
			s.o.Log.Warn("closing the control socket", zap.Error(err))
		}
	}()
	if s.trouble != "" {
		s.trouble = ""
		s.o.Log.Info("the control socket can be used again", zap.String("control_socket", s.o.Path))
	}
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(netutil.LimitListener(peers{l, s.o.Log}, maxClients)) }()
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return err
		case <-tick.C:
			if !l.there() {
				return errTaken
			}
		}
	}
}

// ignoreClosed drops that a listener was closed already.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (s *Server) web(ctx context.Context) *http.Server {
	mux := http.NewServeMux()
	for _, m := range s.methods {
		mux.HandleFunc(m.Pattern, m.serve(ctx))
	}
	for pattern, h := range s.o.Handlers {
		mux.Handle(pattern, h)
	}
	complaints, err := zap.NewStdLogAt(s.o.Log, zap.DebugLevel) // of connections that end, and of descriptors that lack
	if err != nil {
		complaints = zap.NewStdLog(s.o.Log)
	}
	web := &http.Server{
		Handler:           http.MaxBytesHandler(mux, maxBody),
		ReadHeaderTimeout: headerLimit, ReadTimeout: readLimit, WriteTimeout: writeLimit,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       complaints,
	}
	web.SetKeepAlivesEnabled(false)
	return web
}
