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
	// Flags of the advertisements; the zero value is right for instances.
	Flags Flags
	// Source is the address to send from, one of the device's own. The zero
	// value is the lowest link-local one that works, as neighbours expect.
	Source netip.Addr
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
// address and source address are read first. It returns those that were handed
// to the device, in their order, and the reason why others were not.
//
// Trouble of the device ([ErrNotReady], [ErrNoInterface], [ErrCongested],
// [ErrLinkType]) ends the burst; trouble of one target ([ErrBadTarget],
// [ErrFiltered]) is reported and the others are sent. A cancelled ctx ends it
// between two system calls, each of which takes up to 128 messages. An error that
// is about one target is a [TargetError].
func (s *Sender) Send(ctx context.Context, targets []netip.Addr) (sent []netip.Addr, err error) {
	from, err := s.devices.read(s.config.Interface, s.config.Source)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", s.config.Interface, err)
	}
	b := burst{sender: s, ctx: ctx, batch: newBatch(from), sent: make([]netip.Addr, 0, len(targets))}
	for _, target := range targets {
		if err := CheckTarget(target); err != nil {
			b.failed(target, err)
			continue
		}
		if b.sample == nil {
			if b.sample, err = Advertisement(target, from.mac, s.config.Flags); err != nil {
				b.failed(target, err)
				break
			}
		}
		b.pending = append(b.pending, target)
		if len(b.pending) == batchSize && !b.flush(from) {
			break
		}
	}
	b.flush(from)
	return b.sent, summary(b.failures)
}

// burst is what one Send has done so far.
type burst struct {
	sender   *Sender
	ctx      context.Context
	batch    *batch
	sample   []byte       // the message of some target
	pending  []netip.Addr // not handed over yet; at most batchSize
	messages []byte       // theirs
	sent     []netip.Addr
	failures []error
}

// flush hands over what is pending, and tells whether the burst goes on.
func (b *burst) flush(from device) bool {
	for len(b.pending) > 0 {
		if err := b.ctx.Err(); err != nil {
			b.failures = append(b.failures, err)
			b.pending = nil
			return false
		}
		b.messages = b.messages[:0]
		for _, target := range b.pending {
			b.messages = appendAdvertisement(b.messages, b.sample, target)
		}
		taken, err := b.sender.socket.send(b.batch, b.messages, len(b.sample))
		b.sent = append(b.sent, b.pending[:taken]...)
		b.pending = b.pending[taken:]
		if err == nil {
			break
		}
		err = sendError(err, from.source)
		b.failed(b.pending[0], err)
		b.pending = b.pending[1:]
		if !concernsTarget(err) {
			b.pending = nil
			return false
		}
	}
	b.pending = b.pending[:0]
	return true
}

func (b *burst) failed(target netip.Addr, err error) {
	b.failures = append(b.failures, &TargetError{target, b.sender.config.Interface, err})
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
