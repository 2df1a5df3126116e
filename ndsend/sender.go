package ndsend

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Config says where a [Sender] sends.
type Config struct {
	// Interface is the device's name in its namespace.
	Interface string
	// Enter runs a function on a thread that is inside the device's
	// namespace, and returns the function's error or, without having run it,
	// its own. Nil: the namespace of this process.
	Enter func(func() error) error
	// Router sets the Router flag: true only if the announced addresses
	// belong to a router.
	Router bool
}

// Sender sends advertisements out of one device. It holds two sockets in the
// device's namespace, which keep a deleted namespace and its devices alive: use
// a Sender for one burst and close it, so that the next burst finds what the
// name stands for then. Not safe for concurrent use.
type Sender struct {
	config  Config
	devices *deviceReader
	socket  *socket
}

// Open opens a Sender. The device need not exist yet. Errors: [ErrNamespace],
// [ErrPermission], [ErrNoInterface] if the name cannot be a device's.
func Open(config Config) (*Sender, error) {
	if err := checkName(config.Interface); err != nil {
		return nil, fmt.Errorf("interface %q: %w", config.Interface, err)
	}
	s := &Sender{config: config}
	entered := false
	open := func() error {
		entered = true
		return s.open()
	}
	enter := config.Enter
	if enter == nil {
		enter = func(fn func() error) error { return fn() }
	}
	if err := enter(open); err != nil {
		// Enter may also fail on the way back, when the sockets are open.
		s.Close()
		if !entered {
			err = fmt.Errorf("%w: %w", ErrNamespace, err)
		}
		return nil, fmt.Errorf("interface %s: %w", config.Interface, err)
	}
	return s, nil
}

func (s *Sender) open() (err error) {
	if s.socket, err = openSocket(); err != nil {
		return err
	}
	s.devices, err = openDeviceReader()
	return err
}

// Send announces each of targets once, as the device is now: index, link-layer
// address and link-local address are read first. It returns those that were
// handed to the device and the reason why others were not.
//
// Trouble of the device ([ErrNotReady], [ErrNoInterface], [ErrCongested],
// [ErrLinkType]) ends the burst; trouble of one target ([ErrBadTarget],
// [ErrFiltered]) is reported and the others are sent. A cancelled ctx ends it
// between two messages.
func (s *Sender) Send(ctx context.Context, targets []netip.Addr) (sent []netip.Addr, err error) {
	from, err := s.devices.read(s.config.Interface)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", s.config.Interface, err)
	}
	var failures []error
	for _, target := range targets {
		if err := ctx.Err(); err != nil {
			failures = append(failures, err)
			break
		}
		err := s.sendOne(target, from)
		if err == nil {
			sent = append(sent, target)
			continue
		}
		failures = append(failures, fmt.Errorf("announce %s on %s: %w", target, s.config.Interface, err))
		if !concernsTarget(err) {
			break
		}
	}
	return sent, summary(failures)
}

// summary is one line for a burst: its last failure, which is the device's if
// that ended the burst, and how many more there were.
func summary(failures []error) error {
	switch n := len(failures); n {
	case 0:
		return nil
	case 1:
		return failures[0]
	default:
		return fmt.Errorf("%w (and %d more failures)", failures[n-1], n-1)
	}
}

func (s *Sender) sendOne(target netip.Addr, from device) error {
	message, err := Advertisement(target, from.mac, s.config.Router)
	if err != nil {
		return err
	}
	return s.socket.send(message, from)
}

// concernsTarget tells whether another target may fare better.
func concernsTarget(err error) bool {
	return errors.Is(err, ErrBadTarget) || errors.Is(err, ErrFiltered)
}

// Close closes the sockets. It may be called twice.
func (s *Sender) Close() {
	if s.socket != nil {
		s.socket.close()
		s.socket = nil
	}
	if s.devices != nil {
		s.devices.close()
		s.devices = nil
	}
}

// Burst opens a Sender, sends once and closes it.
func Burst(ctx context.Context, config Config, targets []netip.Addr) (sent []netip.Addr, err error) {
	s, err := Open(config)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Send(ctx, targets)
}

// checkName refuses what the kernel's dev_valid_name would, before a lookup
// can take it for something else: 15 bytes at most, no slash, colon or space.
func checkName(name string) error {
	switch {
	case name == "", name == ".", name == "..", len(name) > 15, strings.ContainsAny(name, "/: \t\n\v\f\r"):
		return fmt.Errorf("%w: not an interface name", ErrNoInterface)
	}
	return nil
}
