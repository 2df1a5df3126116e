package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestCollect(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	fit := "2001:db8::1" + strings.Repeat("#", maxLine-len("2001:db8::1"))
	for _, c := range []struct {
		name  string
		args  []string
		stdin string
		want  []string // addresses, and errors
	}{
		{"arguments", []string{"2001:db8::5", "x"}, "::2", []string{"2001:db8::5", `"x": not an IPv6 unicast address`}},
		{"list", []string{"-"}, "2001:db8::1\n\n 2001:db8::2\t2001:DB8::3 # three\n#2001:db8::4\n2001:db8::5",
			[]string{"2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::5"}},
		{"in their order", []string{"2001:db8::1", "-", "2001:db8::9"}, "2001:db8::5\r\n", []string{"2001:db8::1", "2001:db8::5", "2001:db8::9"}},
		{"empty", []string{"-"}, "", nil},
		{"nothing but comments", []string{"-"}, "# a\n\n", nil},
		{"bad", []string{"-"}, "2001:db8::1\nx 2001:db8::2\n192.0.2.1",
			[]string{"2001:db8::1", `standard input, line 2: "x": not an IPv6 unicast address`, "2001:db8::2",
				`standard input, line 3: "192.0.2.1": not an IPv6 unicast address: it is an IPv4 address`}},
		{"byte order mark", []string{"-"}, "\ufeff2001:db8::1\n\ufeff# two\n\ufeff2001:db8::3", []string{"2001:db8::1", "2001:db8::3"}},
		{"byte order mark within", []string{"-"}, "2001:db8::1 \ufeff::2", []string{"2001:db8::1", `standard input, line 1: "\ufeff::2": not an IPv6 unicast address`}},
		{"UTF-16", []string{"-"}, "\xff\xfe2\x000\x000\x001\x00\n\x00", []string{"standard input is UTF-16, by its byte order mark: make it UTF-8 or ASCII"}},
		{"UTF-16, the other end first", []string{"::2", "-"}, "\xfe\xff\x002", []string{"::2", "standard input is UTF-16, by its byte order mark: make it UTF-8 or ASCII"}},
		{"longest line", []string{"-"}, fit + "\n2001:db8::2", []string{"2001:db8::1", "2001:db8::2"}},
		{"longest line without an end", []string{"-"}, fit, []string{"2001:db8::1"}},
		{"a byte too long", []string{"-"}, fit + "#\n2001:db8::2", []string{"standard input, line 1: longer than 4096 bytes, left out", "2001:db8::2"}},
		{"long line", []string{"-"}, "2001:db8::1\n" + long + long + "\n2001:db8::2\n",
			[]string{"2001:db8::1", "standard input, line 2: longer than 4096 bytes, left out", "2001:db8::2"}},
		{"long line without an end", []string{"-"}, long + " 2001:db8::1", []string{"standard input, line 1: longer than 4096 bytes, left out"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			items, err := collect(c.args, strings.NewReader(c.stdin))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, i := range items {
				if i.err != nil {
					got = append(got, i.err.Error())
				} else {
					got = append(got, i.target.String())
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("items (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCollectEnds(t *testing.T) {
	trouble := errors.New("trouble")
	if _, err := collect([]string{"-"}, iotest.ErrReader(trouble)); !errors.Is(err, trouble) || err.Error() != "standard input: trouble" {
		t.Errorf("error %v, want %v", err, trouble)
	}
	endless := strings.NewReader(strings.Repeat("::2 ::3\n", maxAddresses))
	want := fmt.Sprintf("standard input names more than %d addresses: split the list", maxAddresses)
	if _, err := collect([]string{"-"}, endless); err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}
