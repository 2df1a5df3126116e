package nettest

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Batch runs lines of ip(8) in one process; the first that fails fails the
// test. Files of namespaces are named by their paths.
func (n *Namespace) Batch(lines ...string) {
	n.t.Helper()
	if len(lines) == 0 {
		return
	}
	if out, err := n.Feed(strings.Join(lines, "\n")+"\n", "ip", "-batch", "-"); err != nil {
		n.t.Fatalf("%v: %s\n%s", err, out, strings.Join(lines, "\n"))
	}
}

// Feed is [Namespace.Try] with text on the command's standard input; it returns
// standard output alone.
func (n *Namespace) Feed(text, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	var out, complaint bytes.Buffer
	err := n.Enter(func() error {
		cmd := exec.CommandContext(ctx, name, args...) // #nosec G204 -- the tests' own commands
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(text), &out, &complaint
		return cmd.Run()
	})
	if err != nil {
		err = fmt.Errorf("%s: %s %s: %w: %s", n.Name, name, strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return out.String(), err
}
