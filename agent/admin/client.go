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
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// clientLimit bounds a question, the wait for others included; maxAnswer an answer.
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
		Timeout:   clientLimit,
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader},
	}}
}

// Status asks for the daemon's status, and also returns the answer as it came, which
// may have fields that this build does not know.
func (c *Client) Status(ctx context.Context) (s Status, raw []byte, err error) {
	raw, err = c.get(ctx, "/v1/status")
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	if err != nil {
		return Status{}, nil, fmt.Errorf("control socket %s: %w", c.path, err)
	}
	return s, raw, nil
}

func (c *Client) get(ctx context.Context, path string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://daemon"+path, nil)
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
		return nil, fmt.Errorf("%s: %s", answer.Status, printable(p.Error, maxText))
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
		return fmt.Errorf("a daemon listens there, but did not answer within %v", clientLimit)
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
