package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// checkExposed warns of files with a password or a key in them that everybody
// on this machine may read. They are used all the same, as Neutron's own agents
// use them: the broker's password is no better off when this daemon is down.
func (l *loader) checkExposed() {
	warn := func(where, path, what string) {
		if mode, exposed := readableByAll(path); exposed {
			l.warn(where, "%s is readable by everybody (mode %04o), and %s is in it: chmod o-r", path, mode, what)
		}
	}
	url := name{groupDefault, "transport_url"}
	where := l.t.Origins[url.String()]
	for _, f := range l.files {
		// A file that is named by the environment has no line.
		if strings.HasPrefix(where, f.Path+":") && l.hasPassword() {
			warn(where, f.Path, "a password of the broker")
		}
	}
	r := &l.t.Rabbit
	if !r.SSL || r.SSLCertFile == "" {
		return
	}
	option, key := "ssl_key_file", r.SSLKeyFile
	if key == "" { // see keyPair
		option, key = "ssl_cert_file", r.SSLCertFile
	}
	warn(l.t.Origins[name{groupRabbit, option}.String()], key, "the key of the client certificate")
}

// hasPassword reports whether a broker has another password than RabbitMQ's
// default, which everybody knows.
func (l *loader) hasPassword() bool {
	for _, h := range l.t.Transport.Hosts {
		if h.Password.Reveal() != guest {
			return true
		}
	}
	return false
}

// readableByAll reports whether users who have nothing to do with a file can
// read it: by its mode and by those of the directories above it.
func readableByAll(path string) (mode fs.FileMode, exposed bool) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return 0, false // what cannot be read is said elsewhere
	}
	if target, err = filepath.Abs(target); err != nil {
		return 0, false
	}
	info, err := os.Stat(target)
	if err != nil || info.Mode()&0o004 == 0 {
		return 0, false
	}
	for dir := filepath.Dir(target); ; dir = filepath.Dir(dir) {
		if d, err := os.Stat(dir); err != nil || d.Mode()&0o001 == 0 {
			return 0, false
		}
		if dir == filepath.Dir(dir) {
			return info.Mode().Perm(), true
		}
	}
}
