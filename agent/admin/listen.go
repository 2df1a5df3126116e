package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// mode of the socket: its owner and its group may connect.
	mode fs.FileMode = 0o660
	// makingSuffix is of the directory beside the socket in which it is made.
	makingSuffix = ".new"
	// maxPath is what struct sockaddr_un has room for, less its NUL.
	maxPath = 107
	// probeLimit bounds the question whether somebody listens already.
	probeLimit = time.Second
)

// listener is a socket in the file system that knows its own file.
type listener struct {
	*net.UnixListener
	path string
	file fs.FileInfo
}

// Listen makes another Unix socket as the control socket is made: with its mode from
// the first moment on, in place of one of a daemon that is no more. Its file goes when
// it is closed.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	l, err := listen(ctx, path)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// listen makes the socket. It is bound in a directory that nobody else may enter and
// moved to its place when it has its mode: umask(2) is the whole process's, and
// chmod(2) at the place would leave a moment with another mode. That directory is
// also the lock which two daemons that start at once need: both could find an old
// socket dead, and the later one would take away what the first has just made.
func listen(ctx context.Context, path string) (_ *listener, err error) {
	tmp := filepath.Join(path+makingSuffix, "s")
	if len(tmp) > maxPath {
		return nil, fmt.Errorf("%s is longer than the %d bytes that the path of a control socket may have", path, maxPath-len(tmp)+len(path))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	making, err := enter(path + makingSuffix)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, making.leave()) }()
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) { // of one that was killed
		return nil, err
	}
	if err := vacate(ctx, path); err != nil {
		return nil, err
	}
	made, err := (&net.ListenConfig{}).Listen(ctx, "unix", tmp)
	if err != nil {
		return nil, err
	}
	l := &listener{UnixListener: made.(*net.UnixListener), path: path}
	l.SetUnlinkOnClose(false) // it is not there any more by then
	if err := l.place(tmp); err != nil {
		return nil, errors.Join(err, l.UnixListener.Close(), os.Remove(tmp))
	}
	return l, nil
}

// place gives the socket its mode and then its name.
func (l *listener) place(tmp string) (err error) {
	if err := os.Chmod(tmp, mode); err != nil {
		return err
	}
	if l.file, err = os.Lstat(tmp); err != nil {
		return err
	}
	if err := unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, l.path, unix.RENAME_NOREPLACE); err != nil {
		return &os.LinkError{Op: "rename", Old: tmp, New: l.path, Err: err}
	}
	return nil
}

// there tells whether the file at the path is still this socket.
func (l *listener) there() bool {
	now, err := os.Lstat(l.path)
	return err == nil && os.SameFile(now, l.file)
}

// Close implements net.Listener. The file goes if it is still ours.
func (l *listener) Close() error {
	var err error
	if l.there() {
		err = os.Remove(l.path)
	}
	return errors.Join(err, l.UnixListener.Close())
}

// vacate removes the socket of a daemon that is no more. One on which somebody
// listens stays, and so does whatever is no socket.
func vacate(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is there and is no socket: it is left as it is", path)
	}
	c, err := (&net.Dialer{Timeout: probeLimit}).DialContext(ctx, "unix", path)
	if err == nil {
		who := peerOf(c.(*net.UnixConn))
		_ = c.Close() // nothing was written
		return fmt.Errorf("another daemon listens on %s (%v); two on one host need a runtime_dir each", path, who)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("whether somebody listens on %s is not known: %w", path, err)
	}
	return os.Remove(path)
}

// making is the directory in which a socket is made, locked.
type making struct{ *os.File }

// enter makes the directory and locks it, both for the time of listen only.
func enter(dir string) (*making, error) {
	for range 10 { // another one may be leaving
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		f, err := os.OpenFile(dir, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		m := &making{f}
		ours, err := m.lock()
		if err == nil && ours {
			return m, nil
		}
		_ = f.Close() // only read
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s comes and goes", dir)
}

// lock reports whether the directory is locked and still the one of that name.
func (m *making) lock() (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(m.Fd()), &st); err != nil {
		return false, &os.PathError{Op: "stat", Path: m.Name(), Err: err}
	}
	if int(st.Uid) != os.Geteuid() || st.Mode&0o077 != 0 {
		return false, fmt.Errorf("%s is somebody else's, or open to others: it is left as it is", m.Name())
	}
	if err := unix.Flock(int(m.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return false, fmt.Errorf("%s: another daemon makes its socket at this moment: %w", m.Name(), err)
	}
	mine, err := m.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Lstat(m.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(mine, now), err
}

// leave removes the directory and then gives up the lock.
func (m *making) leave() error { return errors.Join(os.Remove(m.Name()), m.Close()) }
