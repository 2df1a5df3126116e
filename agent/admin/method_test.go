package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// What is asked and ordered beside the status.
func TestMethods(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	method := func(pattern string, limit time.Duration, answer func(context.Context, url.Values) (any, error)) Method {
		return Method{Pattern: pattern, Limit: limit, Answer: answer}
	}
	path := filepath.Join(t.TempDir(), "control.sock")
	s := New(Options{
		Path: path, Status: func(Query) (Status, error) { return some(), nil }, Log: zap.New(core),
		Methods: []Method{
			method("POST /v1/echo", time.Second, func(_ context.Context, q url.Values) (any, error) { return q, nil }),
			method("GET /v1/refuse", time.Second, func(context.Context, url.Values) (any, error) {
				return nil, Refuse(http.StatusNotFound, "no router %q here", "x\x1b")
			}),
			method("GET /v1/fail", time.Second, func(context.Context, url.Values) (any, error) { return nil, errors.New("broken") }),
			method("GET /v1/slow", 50*time.Millisecond, func(ctx context.Context, _ url.Values) (any, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}),
		},
		Handlers: map[string]http.Handler{"GET /plain": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"plain":true}`)) // to the test
		})},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	eventually(t, "an answer", answers(t, path))
	c := NewClient(path)

	var echoed url.Values
	if _, err := c.Post(t.Context(), "/v1/echo", url.Values{"router": {"r&1", "r2"}}, &echoed); err != nil || strings.Join(echoed["router"], " ") != "r&1 r2" {
		t.Errorf("echo: %v, %v", echoed, err)
	}
	if n := logs.FilterMessage("control socket: answered").Len(); n != 1 {
		t.Errorf("%d orders in the log, want that one and no question", n)
	}
	if raw, err := c.Get(t.Context(), "/plain", nil, nil); err != nil || string(raw) != `{"plain":true}` {
		t.Errorf("plain: %s, %v", raw, err)
	}
	for path, want := range map[string]struct {
		code int
		says string
	}{
		"/v1/refuse": {http.StatusNotFound, `no router "x\x1b" here`}, "/v1/fail": {http.StatusInternalServerError, "broken"},
		"/v1/slow": {http.StatusServiceUnavailable, "deadline exceeded"}, "/v1/echo": {http.StatusMethodNotAllowed, "another version?"},
		"/v1/none": {http.StatusNotFound, "another version?"},
	} {
		_, err := c.Get(t.Context(), path, nil, nil)
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Code != want.code || !strings.Contains(err.Error(), want.says) {
			t.Errorf("%s: %v, want %d, %s", path, err, want.code, want.says)
		}
	}
}
