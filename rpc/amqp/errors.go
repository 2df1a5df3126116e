package amqp

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

var (
	// ErrNotConnected means that no broker was connected before the deadline.
	// The error that wraps it says why the last attempt failed.
	ErrNotConnected = errors.New("not connected to a broker")
	// ErrConnectionLost means that the connection went away with the message
	// in an unknown state: it may or may not have been routed.
	ErrConnectionLost = errors.New("connection to the broker lost")
	// ErrBlocked means that the broker blocks publishers (connection.blocked:
	// it is low on memory or disk).
	ErrBlocked = errors.New("broker blocks publishers")
	// ErrUnroutable means that a mandatory message had no queue to go to.
	ErrUnroutable = errors.New("no queue takes this message")
	// ErrUnconfirmed means that the broker lives but did not confirm the
	// message in time, as a queue does that has lost its quorum.
	ErrUnconfirmed = errors.New("broker did not confirm the message")
	// ErrNacked means that the broker refused responsibility for the message.
	ErrNacked = errors.New("broker refused the message")
)

// maxText bounds text from outside that ends up in errors and logs.
const maxText = 512

// Clean makes text from outside fit for a log line: printable, bounded.
func Clean(s string) string {
	cut := false
	if len(s) > maxText {
		s, cut = s[:maxText], true
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			// a byte that is no UTF-8, or one cut in half by the limit
			if !cut || len(s)-i >= utf8.UTFMax {
				fmt.Fprintf(&b, `\x%02x`, s[i])
			}
		case !unicode.IsPrint(r):
			q := fmt.Sprintf("%+q", r)
			b.WriteString(q[1 : len(q)-1])
		default:
			b.WriteRune(r)
		}
		i += n
	}
	if cut {
		b.WriteString("...")
	}
	return b.String()
}

// brokerError is an error that the broker (or the library) reported, worded for
// an operator.
type brokerError struct {
	code int
	text string
	err  error
}

func (e *brokerError) Error() string { return fmt.Sprintf("%s (AMQP %d)", e.text, e.code) }
func (e *brokerError) Unwrap() error { return e.err }

// explain rewords the library's errors; others only lose our end's port.
func explain(err error) error {
	var e *amqp091.Error
	if err == nil {
		return nil
	}
	if !errors.As(err, &e) {
		return steady(err)
	}
	return &brokerError{code: e.Code, text: Clean(withoutSocket(e.Reason)), err: err}
}

// hasCode tells whether the broker answered with this AMQP reply code.
func hasCode(err error, code int) bool {
	var e *amqp091.Error
	return errors.As(err, &e) && e.Server && e.Code == code
}
