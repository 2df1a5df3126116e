package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// DefaultDir is where iproute2 and Neutron bind named namespaces.
const DefaultDir = "/run/netns"

var (
	// ErrGone means that there is no namespace of that name. Normal: routers
	// come and go.
	ErrGone = errors.New("network namespace does not exist")
	// ErrNotReady means that the name exists but no namespace is bound to it:
	// `ip netns add` creates the file before it mounts, and `ip netns delete`
	// unmounts before it removes the file. It passes in either direction.
	ErrNotReady = errors.New("network namespace is not bound to its name yet")
	// ErrName means that the name cannot be one of a named namespace.
	ErrName = errors.New("not a name of a network namespace")
)

// ID identifies a namespace among all that live now: device and inode of its
// nsfs file. The kernel uses inode numbers again, so two IDs can only be
// compared while something (a [Handle], a socket) keeps the first alive.
type ID struct {
	Dev, Ino uint64
}

// String prints the ID as `net:[4026532000]`, as /proc/<pid>/ns/net does.
func (id ID) String() string { return fmt.Sprintf("net:[%d]", id.Ino) }

// IsZero reports whether the ID identifies nothing.
func (id ID) IsZero() bool { return id == ID{} }

// Handle is an open namespace. It keeps the namespace alive until Close, also
// when its name is removed: hold it for one operation, not for long.
type Handle struct {
	name string
	file *os.File
	id   ID
	// setns is unix.Setns; tests let the way back fail.
	setns func(fd, nstype int) error
}

// Open opens the namespace of that name under dir. Errors: [ErrGone],
// [ErrNotReady], [ErrName], or what the operating system says.
func Open(dir, name string) (*Handle, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	file, err := os.Open(path)
	if err != nil {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = ErrGone
		case errors.Is(err, fs.ErrPermission) && !bound(path):
			err = ErrNotReady
		}
		return nil, fmt.Errorf("namespace %s: %w", name, err)
	}
	id, err := identify(int(file.Fd()))
	if err != nil {
		_ = file.Close() // nothing was written
		return nil, fmt.Errorf("namespace %s: %w", name, err)
	}
	return &Handle{name: name, file: file, id: id, setns: unix.Setns}, nil
}

// Identify returns the ID of the namespace bound to that name without keeping
// it open. Errors as [Open].
func Identify(dir, name string) (ID, error) {
	h, err := Open(dir, name)
	if err != nil {
		return ID{}, err
	}
	return h.id, h.Close()
}

// List returns the names under dir, sorted, including those that are only half
// made. A directory that does not exist yet has none: iproute2 makes it with
// the first namespace.
func List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// Name is the name the namespace was opened by.
func (h *Handle) Name() string { return h.name }

// ID is the namespace's identity.
func (h *Handle) ID() ID { return h.id }

// FD is the open file, valid until Close; always positive.
func (h *Handle) FD() int { return int(h.file.Fd()) }

// Close lets go of the namespace.
func (h *Handle) Close() error { return h.file.Close() }

func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || len(name) > unix.NAME_MAX {
		return fmt.Errorf("%w: %q", ErrName, name)
	}
	return nil
}

// bound reports whether a namespace is mounted on the path, without opening it:
// `ip netns add` makes the file with mode 000, which only root's
// CAP_DAC_OVERRIDE opens; a namespace that is mounted on it anybody may open.
// What cannot be told counts as bound, so that the first error is shown.
func bound(path string) bool {
	var sfs unix.Statfs_t
	return unix.Statfs(path, &sfs) != nil || sfs.Type == unix.NSFS_MAGIC
}

// identify tells a bound network namespace from a plain file and from a
// namespace of another kind.
func identify(fd int) (ID, error) {
	var sfs unix.Statfs_t
	if err := unix.Fstatfs(fd, &sfs); err != nil {
		return ID{}, os.NewSyscallError("fstatfs", err)
	}
	if sfs.Type != unix.NSFS_MAGIC {
		return ID{}, ErrNotReady
	}
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err != nil {
		return ID{}, os.NewSyscallError("ioctl NS_GET_NSTYPE", err)
	}
	if kind != unix.CLONE_NEWNET {
		return ID{}, fmt.Errorf("%w: bound to a namespace of another kind (%#x)", ErrName, kind)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return ID{}, os.NewSyscallError("fstat", err)
	}
	return ID{Dev: st.Dev, Ino: st.Ino}, nil
}
