package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"neutron-ndp-proxy-agent/agent/admin"
	"neutron-ndp-proxy-agent/agent/config"
)

// commandLine is that of one command.
type commandLine struct {
	*flag.FlagSet
	command command
	// args is where the configuration is read from, by flags of the daemon's names.
	args   config.Args
	stderr io.Writer
}

// newCommandLine returns a command line without flags of its own yet.
func newCommandLine(c command, stderr io.Writer) *commandLine {
	l := &commandLine{FlagSet: flag.NewFlagSet(program+" "+c.name, flag.ContinueOnError), command: c, stderr: stderr}
	l.args = config.Args{Hostname: os.Hostname, LookupEnv: os.LookupEnv}
	l.SetOutput(stderr)
	l.args.AddFlags(l.FlagSet)
	l.Usage = func() {
		words := ""
		if c.words != "" {
			words = " " + c.words
		}
		fmt.Fprintf(stderr, "usage: %s %s [options]%s\n%s\n", program, c.name, words, c.summary)
		l.PrintDefaults()
	}
	return l
}

// parse takes options before, between and after the words, of which there are least to
// most, and returns the words. If ok is false the command ends with code.
func (l *commandLine) parse(arguments []string, least, most int) (words []string, code int, ok bool) {
	for {
		switch err := l.Parse(arguments); {
		case errors.Is(err, flag.ErrHelp):
			return nil, exitOK, false
		case err != nil:
			return nil, exitUsage, false
		}
		// What follows "--" is words, whatever it looks like.
		if n := len(arguments) - l.NArg(); n > 0 && arguments[n-1] == "--" {
			words = append(words, l.Args()...)
			break
		}
		if l.NArg() == 0 {
			break
		}
		words, arguments = append(words, l.Arg(0)), l.Args()[1:]
	}
	switch {
	case len(words) > most:
		l.say(fmt.Errorf("unexpected argument %q", words[most]))
		return nil, exitUsage, false
	case len(words) < least:
		l.say(fmt.Errorf("%s is missing", l.command.words))
		return nil, exitUsage, false
	}
	return words, exitOK, true
}

func (l *commandLine) say(err error) { fmt.Fprintf(l.stderr, "%s: %v\n", l.Name(), err) }

// asker is the command line of a command that asks the running daemon.
type asker struct {
	*commandLine
	socket *string
	unread error // files of the configuration that could not be read
}

func newAsker(c command, stderr io.Writer) *asker {
	l := newCommandLine(c, stderr)
	return &asker{commandLine: l, socket: l.String("socket", "", "the `path` of the control socket, instead of the configuration's")}
}

// client returns who asks. If ok is false the command ends with code.
func (a *asker) client() (client *admin.Client, code int, ok bool) {
	path := *a.socket
	if path == "" {
		var err error
		if path, a.unread, err = config.ControlSocket(a.args); err != nil {
			a.say(err)
			return nil, exitUsage, false
		}
		if path == "" {
			a.say(errors.New("[ndp_proxy] control_socket is empty: the daemon cannot be asked"))
			return nil, exitUnreachable, false
		}
	}
	return admin.NewClient(path), exitOK, true
}

// failed says why there is no answer, and returns the exit code for it: what the daemon
// refused is the client's business.
func (a *asker) failed(err error) int {
	a.say(err)
	if refusal := (*admin.Refusal)(nil); errors.As(err, &refusal) && refusal.Code < 500 {
		return exitFailed
	}
	if a.unread != nil {
		a.say(fmt.Errorf("what may say of another socket could not be read (--socket names one): %w", a.unread))
	}
	return exitUnreachable
}
