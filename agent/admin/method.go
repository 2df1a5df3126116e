package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Method is one question or order.
type Method struct {
	// Pattern is one of [http.ServeMux] with the HTTP method, "POST /v1/reconcile".
	Pattern string
	// Limit bounds how long the answer may take, the wait for others who ask the same
	// included; that wait alone is never longer than turnLimit.
	Limit time.Duration
	// Answer returns what becomes JSON. It is called by one client at a time, with the
	// parameters after the path's question mark. An error is a [*Refusal], or else the
	// daemon's own fault. The context ends with the limit and with the server, and not
	// with the client: the request's ends also when the client only said that it has
	// nothing more to send (shutdown(2)).
	Answer func(ctx context.Context, query url.Values) (any, error)
}

// Refusal is an answer that is none, and the client's business.
type Refusal struct {
	// Code is HTTP's: 400, 404, 409, 503.
	Code int
	Text string
}

func (r *Refusal) Error() string { return r.Text }

// Refuse makes a [*Refusal].
func Refuse(code int, format string, args ...any) error {
	return &Refusal{code, fmt.Sprintf(format, args...)}
}

// clientKey is of the client in the context of an Answer.
type clientKey struct{}

// ClientOf names the process behind the request that an Answer's context is of.
func ClientOf(ctx context.Context) string {
	who, _ := ctx.Value(clientKey{}).(string)
	return who
}

// method is a Method with its turnstile.
type method struct {
	Method
	// computing has room for one answer that is being made, so that many clients cost
	// no more than one.
	computing chan struct{}
	log       *zap.Logger
}

func newMethod(m Method, log *zap.Logger) *method {
	return &method{Method: m, computing: make(chan struct{}, 1), log: log}
}

// serve answers requests. What is made by one after the other is written to all at
// once, so that none waits for a slow one. Who orders something is named in the log.
func (m *method) serve(ctx context.Context) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.WithValue(ctx, clientKey{}, r.RemoteAddr), m.Limit)
		defer cancel()
		if err := http.NewResponseController(w).SetWriteDeadline(start.Add(m.Limit + writeLimit)); err != nil {
			m.log.Debug("control socket: no limit for the answer", zap.Error(err)) // the server's own one is in force
		}
		query, err := url.ParseQuery(r.URL.RawQuery)
		var body []byte
		code := http.StatusBadRequest
		if err != nil {
			body = failure(err)
		} else {
			body, code = m.compute(ctx, query)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, err = w.Write(append(body, '\n')) // #nosec G705 -- JSON, and called so
		say := m.log.Debug
		if !strings.HasPrefix(m.Pattern, http.MethodGet+" ") {
			say = m.log.Info
		}
		say("control socket: answered", zap.String("client", r.RemoteAddr), zap.String("method", r.Method), zap.String("path", r.URL.Path),
			zap.String("query", printable(r.URL.RawQuery, maxText)), zap.Int("code", code), zap.Int("bytes", len(body)),
			zap.Duration("took", time.Since(start)), zap.Error(err))
	}
}

// turnLimit bounds the wait for others: an order may take minutes, and those who wait for
// it must not take all the room that there is for clients.
const turnLimit = 10 * time.Second

// compute makes one answer.
func (m *method) compute(ctx context.Context, query url.Values) (body []byte, code int) {
	turn := time.NewTimer(turnLimit)
	defer turn.Stop()
	select {
	case m.computing <- struct{}{}:
		defer func() { <-m.computing }()
	case <-turn.C:
		return failure(errors.New("the daemon is busy with another client's order")), http.StatusServiceUnavailable
	case <-ctx.Done():
		return failure(errors.New("the daemon is busy with another client's question, or stuck")), http.StatusServiceUnavailable
	}
	what, err := m.Answer(ctx, query)
	if err == nil {
		if body, err = json.Marshal(what); err == nil {
			return body, http.StatusOK
		}
	}
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		return failure(err), refusal.Code
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return failure(err), http.StatusServiceUnavailable
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
