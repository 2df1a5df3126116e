package config

import (
	"errors"
	"io/fs"
)

// ControlSocket returns only the option of that name ([NDPProxy.ControlSocket]), for
// a program that asks the daemon: it must work while the files are being edited, and
// for somebody who may not read all of them. unread joins what could not be read and
// may therefore be missed; err is a file of the command line that is not there, or an
// option that makes no sense.
func ControlSocket(a Args) (path string, unread, err error) {
	n, unread, err := only(a, "control_socket")
	return n.ControlSocket, unread, err
}

// Marks returns only the options that say by what our things are known, where they are
// and whose: source, netns_dir, protocol, table, runtime_dir and control_socket. It
// is for a program that removes them, perhaps because nothing else is right any more.
// The errors are those of [ControlSocket].
func Marks(a Args) (n NDPProxy, unread, err error) {
	return only(a, "source", "netns_dir", "protocol", "table", "runtime_dir", "control_socket")
}

// only reads some options of our own group and looks at no other.
func only(a Args, options ...string) (n NDPProxy, unread, err error) {
	files, errs := readSources(a)
	for _, e := range errs {
		if errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		return NDPProxy{}, nil, err
	}
	unread = errors.Join(errs...)
	l := newLayered(files, a.LookupEnv)
	t := &target{Config: &Config{}}
	for _, option := range options {
		o := name{groupNDPProxy, option}
		f, wrong := l.value(o)
		if wrong == nil {
			wrong = l.known[o].set(t, f.text)
		}
		if wrong != nil {
			err = errors.Join(err, &Error{Where: f.where, Option: o.String(), Err: wrong})
		}
	}
	if err != nil {
		return NDPProxy{}, unread, err
	}
	return t.NDPProxy, unread, nil
}
