package oslo

import (
	"errors"
	"fmt"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

// ErrTimeout means that a call was sent and not answered in time. The server
// may have executed it.
var ErrTimeout = errors.New("no reply in time")

// RemoteError is a failure that the server answered with. Its texts are the
// server's, printable and bounded.
type RemoteError struct {
	// Class and Module name the Python exception, such as
	// "AgentNotFoundByTypeHost" and "neutron_lib.exceptions.agent".
	Class, Module, Message string
}

// Error gives "Class: Message".
func (e *RemoteError) Error() string {
	return fmt.Sprintf("server answered %s: %s", e.Class, e.Message)
}

// IsRemote tells whether err is a server's failure of this exception class.
func IsRemote(err error, class string) bool {
	var r *RemoteError
	return errors.As(err, &r) && r.Class == class
}

func remoteError(class, module, message string) *RemoteError {
	if class == "" {
		class = "(no exception class)"
	}
	return &RemoteError{Class: amqp.Clean(class), Module: amqp.Clean(module), Message: amqp.Clean(message)}
}
