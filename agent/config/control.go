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
	files, errs := readSources(a)
	for _, e := range errs {
		if errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		return "", nil, err
	}
	unread = errors.Join(errs...)
	l := newLayered(files, a.LookupEnv)
	n := name{groupNDPProxy, "control_socket"}
	f, err := l.value(n)
	t := &target{Config: &Config{}}
	if err == nil {
		err = l.known[n].set(t, f.text)
	}
	if err != nil {
		return "", unread, &Error{Where: f.where, Option: n.String(), Err: err}
	}
	return t.NDPProxy.ControlSocket, unread, nil
}
