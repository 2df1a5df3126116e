package sysctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"neutron-ndp-proxy-agent/dataplane/rtnl"
)

// ErrNotKept means that the kernel took a value and shows another.
var ErrNotKept = errors.New("sysctl did not keep the value written to it")

const confDir = "/proc/sys/net/ipv6/conf"

// SetProxyNDP writes net.ipv6.conf.<device>.proxy_ndp unless it has the value
// already, and reads it back. It must run on a thread inside the namespace:
// /proc/sys/net belongs to the thread that opens the file. A device that does
// not exist (or has no IPv6 side) is ENOENT wrapped as [unix.ENODEV].
func SetProxyNDP(device string, on bool) error {
	if device == "" || device == "." || device == ".." || device == "all" || device == "default" || strings.ContainsRune(device, '/') {
		return fmt.Errorf("proxy_ndp: %w: %q is not a device", unix.EINVAL, device)
	}
	path := filepath.Join(confDir, device, "proxy_ndp")
	want := "0"
	if on {
		want = "1"
	}
	have, err := read(path)
	if err == nil && have != want {
		if err = os.WriteFile(path, []byte(want), 0); err == nil {
			have, err = read(path)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("proxy_ndp of %s: %w", device, unix.ENODEV)
	case err != nil:
		return fmt.Errorf("proxy_ndp of %s: %w", device, err)
	case have != want:
		return fmt.Errorf("proxy_ndp of %s: %w: wrote %s, reads %s", device, ErrNotKept, want, have)
	}
	return nil
}

// SetProxyDelay writes net.ipv6.neigh.<device>.proxy_delay. A device that does
// not exist (or has no IPv6 side) is [unix.ENODEV].
func SetProxyDelay(ctx context.Context, c *rtnl.Conn, index int, delay time.Duration) error {
	if index <= 0 || delay < 0 {
		return fmt.Errorf("proxy_delay: %w: device index %d, delay %s", unix.EINVAL, index, delay)
	}
	payload, err := encodeDelay(index, delay)
	if err != nil {
		return fmt.Errorf("proxy_delay: %w", err)
	}
	err = c.Do(ctx, unix.RTM_SETNEIGHTBL, 0, payload)
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("proxy_delay: %w", unix.ENODEV)
	}
	if err != nil {
		return fmt.Errorf("proxy_delay: %w", err)
	}
	return nil
}

func read(path string) (string, error) {
	b, err := os.ReadFile(path)
	return strings.TrimSpace(string(b)), err
}
