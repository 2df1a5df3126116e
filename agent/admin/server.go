package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
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
	computeLimit = 2 * time.Second // until another one's question is answered
)

// lookEvery is how often the socket is looked after, and tried again.
const lookEvery = 5 * time.Second

// Options of a Server.
type Options struct {
	// Path of the socket; "": none.
	Path string
	// Status is what GET /v1/status answers. It is called by one client at a time,
	// and must not wait for the outside.
	Status func() Status
	Log    *zap.Logger
}

// Server answers at the control socket.
type Server struct {
	o Options
	// every is lookEvery.
	every time.Duration
	// computing has room for one answer that is being made.
	computing chan struct{}
	// trouble is what was said of the socket, "" if it is well.
	trouble string
}

// New returns a server; Run does the work.
func New(o Options) *Server {
	return &Server{o: o, every: lookEvery, computing: make(chan struct{}, 1)}
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
	web := s.web()
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

func (s *Server) web() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.answer(func(*http.Request) (any, error) { return s.o.Status(), nil }))
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

// answer makes a handler of what answers with something for JSON. One answer is made
// at a time, so that many clients cost no more than one; it is written to all at
// once, so that none waits for a slow one.
func (s *Server) answer(ask func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		body, code := s.compute(r, ask)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, err := w.Write(append(body, '\n')) // #nosec G705 -- JSON, and called so
		s.o.Log.Debug("control socket: answered", zap.String("client", r.RemoteAddr), zap.String("method", r.Method),
			zap.String("path", r.URL.Path), zap.Int("code", code), zap.Int("bytes", len(body)), zap.Duration("took", time.Since(start)), zap.Error(err))
	}
}

// compute makes one answer. The request's own context does not count: it ends also
// when the client only said that it has nothing more to send (shutdown(2)).
func (s *Server) compute(r *http.Request, ask func(*http.Request) (any, error)) (body []byte, code int) {
	late := time.NewTimer(computeLimit)
	defer late.Stop()
	select {
	case s.computing <- struct{}{}:
		defer func() { <-s.computing }()
	case <-late.C:
		return failure(errors.New("the daemon is busy with another client's question, or stuck")), http.StatusServiceUnavailable
	}
	what, err := ask(r)
	if err == nil {
		if body, err = json.Marshal(what); err == nil {
			return body, http.StatusOK
		}
	}
	return failure(err), http.StatusInternalServerError
}

// problem is the body of an answer that is none.
type problem struct {
	Error string `json:"error"`
}

func failure(err error) []byte {
	body, broken := json.Marshal(problem{printable(err.Error(), maxText)})
	if broken != nil { // a struct of one string
		return fmt.Appendf(nil, "{}")
	}
	return body
}
