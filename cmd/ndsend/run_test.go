package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/ndsend"
)

type outcome struct {
	Code           int
	Stdout, Stderr string
	Sent           string
}

// call runs the command with a system that fails with err.
func call(args []string, err error) outcome {
	var o outcome
	fake := system{burst: func(_ context.Context, config ndsend.Config, targets []netip.Addr) ([]netip.Addr, error) {
		o.Sent = targets[0].String() + " " + config.Interface
		if err != nil {
			return nil, err
		}
		return targets, nil
	}}
	return o.run(args, "", fake)
}

// run completes an outcome.
func (o *outcome) run(args []string, stdin string, fake system) outcome {
	var stdout, stderr bytes.Buffer
	o.Code = run(context.Background(), args, streams{strings.NewReader(stdin), &stdout, &stderr}, fake)
	o.Stdout, o.Stderr = stdout.String(), stderr.String()
	return *o
}

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		err  error
		want outcome
	}{
		{"sent", []string{"2001:DB8::5", "qg-1"}, nil, outcome{Sent: "2001:db8::5 qg-1"}},
		{"trouble", []string{"2001:db8::5", "qg-1"}, errors.New("trouble"), outcome{Code: 2, Stderr: "ndsend: trouble\n", Sent: "2001:db8::5 qg-1"}},
		{"none", nil, nil, outcome{Code: 1, Stdout: usage}},
		{"one", []string{"2001:db8::5"}, nil, outcome{Code: 1, Stdout: usage}},
		{"unknown option", []string{"--verbose"}, nil, outcome{Code: 1, Stderr: "ndsend: unknown flag: --verbose (ndsend --help)\n"}},
		{"help", []string{"--help"}, nil, outcome{Stdout: usage}},
		{"h", []string{"-h"}, nil, outcome{Stdout: usage}},
		{"IPv4", []string{"192.0.2.1", "qg-1"}, nil, outcome{Code: 255, Stderr: "ndsend: \"192.0.2.1\": not an IPv6 unicast address: it is an IPv4 address\n"}},
		{"mapped", []string{"::ffff:192.0.2.1", "qg-1"}, nil, outcome{Code: 255, Stderr: "ndsend: \"::ffff:192.0.2.1\": not an IPv6 unicast address: it is an IPv4-mapped address\n"}},
		{"multicast", []string{"ff02::1", "qg-1"}, nil, outcome{Code: 255, Stderr: "ndsend: \"ff02::1\": not an IPv6 unicast address: it is a multicast address\n"}},
		{"unspecified", []string{"::", "qg-1"}, nil, outcome{Code: 255, Stderr: "ndsend: \"::\": not an IPv6 unicast address: it is the unspecified address\n"}},
		{"no address", []string{"qg-1", "2001:db8::5"}, nil, outcome{Code: 255, Stderr: "ndsend: \"qg-1\": not an IPv6 unicast address\n"}},
		{"option for an address", []string{"--help", "qg-1"}, nil, outcome{Code: 255, Stderr: "ndsend: \"--help\": not an IPv6 unicast address\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, call(c.args, c.err)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	got := call([]string{"--version"}, nil)
	if got.Code != 0 || !strings.HasPrefix(got.Stdout, "ndsend ") || strings.Count(got.Stdout, "\n") != 1 || got.Stderr != "" {
		t.Errorf("outcome %+v", got)
	}
}

// Help that nobody can read is no success.
func TestClosedOutput(t *testing.T) {
	reader, writer := io.Pipe()
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	code := run(context.Background(), []string{"--help"}, streams{nil, writer, &stderr}, system{})
	if want := "ndsend: standard output: io: read/write on closed pipe\n"; code != exitSystem || stderr.String() != want {
		t.Errorf("exit code %d, %q, want %d, %q", code, &stderr, exitSystem, want)
	}
}

// Whatever the two words are: either an address that can be announced is sent,
// or the code is 255 and one line of plain text says why.
func FuzzArguments(f *testing.F) {
	for _, seed := range [][2]string{
		{"2001:db8::5", "qg-1"}, {"::ffff:1.2.3.4", "qg-1"}, {"fe80::1%qg-1", "qg-1"},
		{"-h", "--version"}, {"", ""}, {"\x00\n", "\x1b[2J"}, {"ff02::1", "lo"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, address, device string) {
		if address == stdinMark {
			return
		}
		got := call([]string{address, device}, nil)
		switch got.Code {
		case exitDone:
			text, _, _ := strings.Cut(got.Sent, " ")
			if _, err := ndsend.ParseTarget(text); err != nil || got.Stdout+got.Stderr != "" {
				t.Errorf("outcome %+v, %v", got, err)
			}
		case exitBadAddress:
			if got.Sent != "" || got.Stdout != "" || !plainLines(got.Stderr, 1) {
				t.Errorf("outcome %+v", got)
			}
		default:
			t.Errorf("outcome %+v", got)
		}
	})
}

// plainLines tells whether text is so many lines of ours that print as they are.
func plainLines(text string, n int) bool {
	for line := range strings.Lines(text) {
		body, newline := strings.CutSuffix(line, "\n")
		if !newline || !strings.HasPrefix(body, "ndsend: ") || strings.ContainsFunc(body, unprintable) {
			return false
		}
	}
	return strings.Count(text, "\n") == n
}

// Whatever the command line and standard input are: the exit code is one of the
// manual's, and nothing raw reaches the terminal.
func FuzzCommand(f *testing.F) {
	f.Add("--json\x00-\x00qg-1", "2001:db8::5 # x\n\x1b[2J\n")
	f.Add("--dry-run\x00--flags\x00o,r\x002001:db8::5\x00\x9b\x7f", "")
	f.Add("--netns\x00\x1b]0;x\a\x00-\x00qg-1", "::1\n\xff\n")
	f.Fuzz(func(t *testing.T, line, stdin string) {
		refuse := errors.New("refused \x1b[1m\u009b\u202e")
		var o outcome
		got := o.run(strings.Split(line, "\x00"), stdin, system{
			enter: func(string) error { return nil },
			burst: func(context.Context, ndsend.Config, []netip.Addr) ([]netip.Addr, error) { return nil, refuse },
			preview: func(_ ndsend.Config, targets []netip.Addr) ([]ndsend.Outgoing, error) {
				return make([]ndsend.Outgoing, len(targets)), nil
			},
			verify: func(_ ndsend.Config, targets []netip.Addr) ([]ndsend.Verification, error) {
				return make([]ndsend.Verification, len(targets)), nil
			},
		})
		switch got.Code {
		case exitDone, exitUsage, exitSystem, exitNotAnswered, exitBadAddress:
		default:
			t.Errorf("exit code %d", got.Code)
		}
		if !plainLines(got.Stderr, strings.Count(got.Stderr, "\n")) {
			t.Errorf("standard error %q", got.Stderr)
		}
		if raw := func(r rune) bool { return r != '\n' && unprintable(r) }; strings.ContainsFunc(got.Stdout, raw) {
			t.Errorf("standard output %q", got.Stdout)
		}
	})
}
