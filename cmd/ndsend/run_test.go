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

// call runs the command with a sender that fails with err.
func call(args []string, err error) outcome {
	var o outcome
	var stdout, stderr bytes.Buffer
	o.Code = run(context.Background(), args, &stdout, &stderr, func(_ context.Context, target netip.Addr, device string) error {
		o.Sent = target.String() + " " + device
		return err
	})
	o.Stdout, o.Stderr = stdout.String(), stderr.String()
	return o
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
		{"three", []string{"2001:db8::5", "qg-1", "x"}, nil, outcome{Code: 1, Stdout: usage}},
		{"unknown option", []string{"--verbose"}, nil, outcome{Code: 1, Stdout: usage}},
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
	if code := run(context.Background(), []string{"--help"}, writer, io.Discard, send); code != exitSystem {
		t.Errorf("exit code %d, want %d", code, exitSystem)
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
		got := call([]string{address, device}, nil)
		switch got.Code {
		case exitSent:
			text, _, _ := strings.Cut(got.Sent, " ")
			if _, err := ndsend.ParseTarget(text); err != nil || got.Stdout+got.Stderr != "" {
				t.Errorf("outcome %+v, %v", got, err)
			}
		case exitBadAddress:
			line, newline := strings.CutSuffix(got.Stderr, "\n")
			control := strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f })
			if got.Sent != "" || got.Stdout != "" || !strings.HasPrefix(line, "ndsend: ") || !newline || control {
				t.Errorf("outcome %+v", got)
			}
		default:
			t.Errorf("outcome %+v", got)
		}
	})
}
