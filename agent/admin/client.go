package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// clientLimit bounds a question whose context has no deadline, the wait for others
// included; maxAnswer an answer.
const (
	clientLimit = 10 * time.Second
	maxAnswer   = 64 << 20
)

// Why a daemon cannot be asked: for errors.Is.
var (
	ErrNotRunning   = errors.New("no daemon listens there")
	ErrNoPermission = errors.New("no permission")
)

// Client asks the daemon behind a socket.
type Client struct {
	path string
	http *http.Client
}

// NewClient returns a client for the socket at path.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	return &Client{path: path, http: &http.Client{
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader},
	}}
}

// Status asks for the daemon's status, and also returns the answer as it came, which
// may have fields that this build does not know.
func (c *Client) Status(ctx context.Context) (s Status, raw []byte, err error) {
	return c.StatusOf(ctx, Query{})
}

// StatusOf asks for a part of it. A daemon of an older version answers with Routers nil.
func (c *Client) StatusOf(ctx context.Context, q Query) (s Status, raw []byte, err error) {
	raw, err = c.Get(ctx, "/v1/status", q.Values(), &s)
	if err != nil {
		return Status{}, nil, err
	}
	return s, raw, nil
}

// Get asks a question, and also returns the answer as it came. The error of a daemon
// that answers with one is a [*Refusal], and any error names the socket.
func (c *Client) Get(ctx context.Context, path string, query url.Values, into any) (raw []byte, err error) {
	return c.ask(ctx, http.MethodGet, path, query, into)
}

// Post gives an order. Its error is like that of Get.
func (c *Client) Post(ctx context.Context, path string, query url.Values, into any) (raw []byte, err error) {
	return c.ask(ctx, http.MethodPost, path, query, into)
}

func (c *Client) ask(ctx context.Context, method, path string, query url.Values, into any) (raw []byte, err error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, clientLimit)
		defer cancel()
	}
	raw, err = c.fetch(ctx, method, path, query)
	if err == nil && into != nil {
		err = json.Unmarshal(raw, into)
	}
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", c.path, err)
	}
	return raw, nil
}

func (c *Client) fetch(ctx context.Context, method, path string, query url.Values) ([]byte, error) {
	where := url.URL{Scheme: "http", Host: "daemon", Path: path, RawQuery: query.Encode()}
	r, err := http.NewRequestWithContext(ctx, method, where.String(), nil)
	if err != nil {
		return nil, err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, c.explain(err)
	}
	defer func() { _ = answer.Body.Close() }() // only read
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	if answer.StatusCode != http.StatusOK {
		var p problem
		if json.Unmarshal(body, &p) != nil || p.Error == "" {
			p.Error = "is it a daemon of another version?"
		}
		return nil, &Refusal{answer.StatusCode, answer.Status + ": " + printable(p.Error, maxText)}
	}
	return body, nil
}

// explain says what the system's error means here.
func (c *Client) explain(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("%w: it is not running, or has another control_socket", ErrNotRunning)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %s", ErrNoPermission, mayConnect(c.path))
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("a daemon listens there, but did not answer in time")
	}
	return err
}

// mayConnect says who may, by the socket or by the first directory above it that can
// be looked at: one below it is what shuts us out.
func mayConnect(path string) string {
	for ; ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if err != nil && filepath.Dir(path) != path {
			continue
		}
		if err != nil {
			return "only root may connect"
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return "only root may connect"
		}
		group := strconv.FormatUint(uint64(st.Gid), 10)
		if g, err := user.LookupGroupId(group); err == nil {
			group = g.Name
		}
		return fmt.Sprintf("root may connect, and who is in group %s", group)
	}
}
