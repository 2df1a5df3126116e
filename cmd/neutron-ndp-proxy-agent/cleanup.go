package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"

	"neutron-ndp-proxy-agent/agent/admin"
	cleaning "neutron-ndp-proxy-agent/agent/cleanup"
	"neutron-ndp-proxy-agent/agent/config"
	"neutron-ndp-proxy-agent/dataplane"
)

// cleaner is one run of the command cleanup.
type cleaner struct {
	*commandLine
	dryRun, yes, evenIfRunning bool
	which                      []string // namespaces; nil: all of the source
	marks                      config.NDPProxy
	kernel                     *dataplane.Dataplane
	running                    bool // as far as it is known
	out                        io.Writer
	// confirm asks a question on the terminal; false also where there is none.
	confirm func(question string) (yes, asked bool)
}

// cleanup removes everything of ours, and returns an exit code.
func cleanup(c command, arguments []string, stdout, stderr io.Writer) int {
	return newCleaner(c, stdout, stderr).run(arguments)
}

func newCleaner(c command, stdout, stderr io.Writer) *cleaner {
	l := &cleaner{commandLine: newCommandLine(c, stderr), out: stdout}
	l.confirm = func(question string) (bool, bool) { return confirm(os.Stdin, stderr, question) }
	l.BoolVar(&l.dryRun, "dry-run", false, "only print what would be removed, as diff does")
	l.BoolVar(&l.yes, "yes", false, "do not ask")
	l.BoolVar(&l.evenIfRunning, "even-if-running", false, "remove also while the daemon runs, or may run; one that runs makes again what it wants")
	l.Func("namespace", "only this `namespace`; may be repeated", func(ns string) error {
		l.which = append(l.which, ns)
		return nil
	})
	return l
}

func (l *cleaner) run(arguments []string) int {
	if _, code, ok := l.parse(arguments, 0, 0); !ok {
		return code
	}
	marks, unread, err := config.Marks(l.args)
	if err = errors.Join(err, unread); err != nil { // with other marks it would remove something else
		l.say(err)
		return exitUsage
	}
	l.marks = marks
	around, err := look(&config.Config{NDPProxy: marks})
	if err == nil {
		err = around.refusal()
	}
	if err != nil {
		l.say(err)
		return exitNoPermission
	}
	ctx := context.Background() // until something is removed a signal may end it at once, the question included
	if code := l.askDaemon(ctx); code != exitOK {
		return code
	}
	l.kernel = dataplane.New(dataplane.Options{NetnsDir: marks.NetnsDir, Protocol: marks.Protocol, Table: marks.Table})
	return l.clean(ctx)
}

// askDaemon finds out whether the daemon runs. A look needs no answer.
func (l *cleaner) askDaemon(ctx context.Context) int {
	const how = "; stop it (systemctl stop neutron-ndp-proxy-agent), or say --even-if-running"
	if l.marks.ControlSocket == "" {
		l.running = true
		if l.dryRun || l.evenIfRunning {
			return exitOK
		}
		l.say(errors.New("whether the daemon runs is not known, [ndp_proxy] control_socket is empty; it would make all of it again" + how))
		return exitUnreachable
	}
	_, _, err := admin.NewClient(l.marks.ControlSocket).Status(ctx)
	l.running = !errors.Is(err, admin.ErrNotRunning)
	switch {
	case l.dryRun || l.evenIfRunning || !l.running:
		return exitOK
	case errors.Is(err, admin.ErrNoPermission):
		l.say(fmt.Errorf("whether the daemon runs is not known: %w%s", err, how))
		return exitUnreachable
	case err != nil:
		l.say(fmt.Errorf("the daemon seems to run, and would make all of it again%s: %w", how, err))
		return exitFailed
	}
	l.say(errors.New("the daemon runs, and would make all of it again" + how))
	return exitFailed
}

func (l *cleaner) clean(ctx context.Context) int {
	names, others := l.which, []string(nil)
	if names == nil {
		all, err := l.kernel.Namespaces(ctx)
		if err != nil {
			l.say(err)
			return exitFailed
		}
		names, others = cleaning.Split(all, scopeOf(l.marks.Source))
	}
	found := cleaning.Look(ctx, l.kernel, names)
	var files []string
	code := exitOK
	// While it runs its files are its own.
	if !l.running {
		var err error
		if files, err = cleaning.Files(l.marks.RuntimeDir, l.marks.ControlSocket, l.which); err != nil {
			l.say(err)
			code = exitFailed
		}
	}
	answered, some := 0, len(files) > 0
	for _, f := range found {
		if f.Err != nil {
			l.say(f.Err)
			code = exitFailed
		}
		answered, some = answered+f.Answered, some || len(f.Lines) > 0
	}
	l.tellOthers(ctx, found, others)
	switch {
	case l.dryRun:
		l.show(found, files)
		return code
	case some && !l.yes:
		if refused := l.ask(found, answered); refused != exitOK {
			return refused
		}
	}
	// Nothing is left half done in a namespace.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return max(code, l.remove(ctx, found, files))
}

// ask is for the operator's word. Without anything that is answered for nobody is cut off.
func (l *cleaner) ask(found []cleaning.Found, answered int) int {
	question := fmt.Sprintf("Everything of ours is removed from %d namespaces, and %d published addresses are not answered for any more (--dry-run shows each). Go on?", len(found), answered)
	switch yes, asked := l.confirm(question); {
	case !asked:
		l.say(fmt.Errorf("published traffic would end: say --yes where nobody can be asked (%d addresses are answered for)", answered))
		return exitUsage
	case !yes:
		l.say(errors.New("nothing was removed"))
		return exitFailed
	}
	return exitOK
}

// remove goes on after failures, and tells each.
func (l *cleaner) remove(ctx context.Context, found []cleaning.Found, files []string) int {
	code, failed := exitOK, map[string]bool{}
	for _, f := range found {
		if f.Err != nil {
			failed[f.Namespace] = true
			continue
		}
		if err := cleaning.Remove(ctx, l.kernel, f.Namespace); err != nil {
			l.say(err)
			code, failed[f.Namespace] = exitFailed, true
			continue
		}
		fmt.Fprintf(l.out, "namespace %s: cleaned (%d lines of --dry-run)\n", f.Namespace, len(f.Lines))
	}
	for _, path := range files {
		// What is owed in it is still to be told of by the next daemon.
		if n := strings.LastIndexByte(path, '/'); failed[path[n+1:]] {
			continue
		}
		if err := cleaning.RemoveFile(path); err != nil {
			l.say(err)
			code = exitFailed
		}
	}
	return code
}

// show prints what would go.
func (l *cleaner) show(found []cleaning.Found, files []string) {
	for _, f := range found {
		if f.Err == nil {
			fmt.Fprintf(l.out, "namespace %s\n%s\n", f.Namespace, strings.Join(f.Lines, "\n"))
		}
	}
	for _, path := range files {
		fmt.Fprintf(l.out, "-file %s\n", path)
	}
}

// tellOthers names what has our marks and is of another source: another daemon may be at
// work there.
func (l *cleaner) tellOthers(ctx context.Context, found []cleaning.Found, others []string) {
	ours := map[dataplane.ID]bool{}
	for _, f := range found {
		ours[f.ID] = true
	}
	for _, f := range cleaning.Look(ctx, l.kernel, others) {
		if f.Err == nil && !ours[f.ID] {
			l.say(fmt.Errorf("namespace %s has our marks, but is none of source = %s: left as it is (--namespace %s cleans it)", f.Namespace, l.marks.Source, f.Namespace))
		}
	}
}

// confirm asks on a terminal. Anything but a yes is a no.
func confirm(in *os.File, out io.Writer, question string) (yes, asked bool) {
	if !term.IsTerminal(int(in.Fd())) {
		return false, false
	}
	fmt.Fprintf(out, "%s [y/N] ", question)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		return false, true
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", true
}
