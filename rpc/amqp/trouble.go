package amqp

import (
	"regexp"
	"slices"
	"strings"
)

// trouble is what keeps a connection from being made, by broker. With several
// brokers tried in turn, the last failure alone would read differently from one
// look to the next although nothing changed.
type trouble struct {
	hosts []Endpoint // in the operator's order
	met   map[string]error
}

// at takes note of the failure at a broker and returns the whole trouble.
func (t *trouble) at(e Endpoint, err error) error {
	if t.met == nil {
		t.met = map[string]error{}
	}
	t.met[e.Addr()] = err
	all := &troubles{}
	for i, h := range t.hosts {
		err := t.met[h.Addr()]
		same := func(o Endpoint) bool { return o.Addr() == h.Addr() }
		if err != nil && slices.IndexFunc(t.hosts, same) == i {
			all.met = append(all.met, err)
		}
	}
	return all
}

// over forgets it all: there is a connection.
func (t *trouble) over() { t.met = nil }

// troubles are failures, one for each broker, in one line.
type troubles struct{ met []error }

func (t *troubles) Error() string {
	var l []string
	for _, err := range t.met {
		l = append(l, err.Error())
	}
	return strings.Join(l, "; ")
}

func (t *troubles) Unwrap() []error { return t.met }

// sockets matches the local address of a connection in the errors of the net
// package ("read tcp 127.0.0.1:42424->127.0.0.1:5672: ..."), also where only
// their text is left, as in those of the resolver.
var sockets = regexp.MustCompile(`\b((?:read|write) (?:tcp|udp)) \S+->`)

func withoutSocket(text string) string { return sockets.ReplaceAllString(text, "$1 ") }

// steady keeps the local port, which is another one every time, out of the text
// of an error.
func steady(err error) error {
	if text := err.Error(); sockets.MatchString(text) {
		return &steadyError{text: withoutSocket(text), err: err}
	}
	return err
}

type steadyError struct {
	text string
	err  error
}

func (e *steadyError) Error() string { return e.text }
func (e *steadyError) Unwrap() error { return e.err }
