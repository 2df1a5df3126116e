package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/ndsend"
)

// wire is a device that takes what it is given and notes when.
type wire struct {
	start  time.Time
	sent   []string // "address at time"
	refuse func(netip.Addr) error
}

func (w *wire) burst(_ context.Context, _ ndsend.Config, targets []netip.Addr) (sent []netip.Addr, err error) {
	for _, target := range targets {
		if w.refuse != nil {
			if why := w.refuse(target); why != nil {
				err = &ndsend.TargetError{Target: target, Interface: "qg-1", Err: why}
				if why != ndsend.ErrFiltered { //nolint:errorlint // as given
					return sent, fmt.Errorf("interface qg-1: %w", why)
				}
				continue
			}
		}
		sent = append(sent, target)
		w.sent = append(w.sent, fmt.Sprintf("%s at %s", target, time.Since(w.start)))
	}
	return sent, err
}

// Copies are apart by the interval, and at the least by it where the pace is
// what takes the time.
func TestCopies(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string
	}{
		{"::2 qg-1", []string{"::2 at 0s"}},
		{"--count 3 ::2 ::3 qg-1", []string{"::2 at 0s", "::3 at 0s", "::2 at 1s", "::3 at 1s", "::2 at 2s", "::3 at 2s"}},
		{"--count 2 --interval 2.5 ::2 qg-1", []string{"::2 at 0s", "::2 at 2.5s"}},
	} {
		t.Run(c.line, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := wire{start: time.Now()}
				var o outcome
				if got := o.run(strings.Fields(c.line), "", system{burst: w.burst}); got != (outcome{}) {
					t.Errorf("outcome %+v", got)
				}
				if diff := cmp.Diff(c.want, w.sent); diff != "" {
					t.Errorf("sent (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Many addresses go at the pace, after a burst.
func TestPace(t *testing.T) {
	var list strings.Builder
	for i := range 1100 {
		fmt.Fprintf(&list, "2001:db8::%x\n", i+1)
	}
	for _, c := range []struct {
		options string
		last    time.Duration
		total   int
	}{
		{"", 2 * time.Second, 1100},
		{"--rate 100", 10 * time.Second, 1100},
		{"--rate 0", 0, 1100},
		{"--rate 1000 --count 2", 3 * time.Second, 2200}, // the bucket is full again by then
	} {
		t.Run(c.options, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := wire{start: time.Now()}
				var o outcome
				if got := o.run(append(strings.Fields(c.options), "-", "qg-1"), list.String(), system{burst: w.burst}); got != (outcome{}) {
					t.Errorf("outcome %+v", got)
				}
				took := time.Since(w.start)
				if len(w.sent) != c.total || took < c.last || took > c.last+100*time.Millisecond {
					t.Errorf("%d sent in %s, want %d in %s", len(w.sent), took, c.total, c.last)
				}
				if c.last > 0 && (!strings.HasSuffix(w.sent[99], " at 0s") || strings.HasSuffix(w.sent[100], " at 0s")) {
					t.Errorf("the burst: %q, %q", w.sent[99], w.sent[100])
				}
			})
		})
	}
}

// What the system refuses is named, and the others are sent.
func TestRefused(t *testing.T) {
	second, _ := netip.ParseAddr("::3")
	for _, c := range []struct {
		name, line string
		refuse     func(*wire) func(netip.Addr) error
		want       outcome
		sent       []string
		took       time.Duration
	}{
		{"filtered", "::2 ::3 ::4 qg-1", func(*wire) func(netip.Addr) error {
			return only(second, ndsend.ErrFiltered)
		}, outcome{Code: 2, Stderr: "ndsend: announce ::3 on qg-1: a local packet filter dropped the advertisement (not announced: ::3)\n"},
			[]string{"::2 at 0s", "::4 at 0s"}, 0},
		{"filtered, more copies", "--count 2 ::2 ::3 qg-1", func(*wire) func(netip.Addr) error {
			return only(second, ndsend.ErrFiltered)
		}, outcome{Code: 2, Stderr: "ndsend: announce ::3 on qg-1: a local packet filter dropped the advertisement (not announced: ::3)\n"},
			[]string{"::2 at 0s", "::2 at 1s"}, time.Second},
		{"down", "::2 ::3 ::4 qg-1", func(*wire) func(netip.Addr) error {
			return only(second, ndsend.ErrNotReady)
		}, outcome{Code: 2, Stderr: "ndsend: interface qg-1: the interface is not ready (not announced: ::3 and 1 more)\n"},
			[]string{"::2 at 0s"}, 0},
		{"down and a bad address", "::3 x qg-1", func(*wire) func(netip.Addr) error {
			return only(second, ndsend.ErrNotReady)
		}, outcome{Code: 2, Stderr: "ndsend: interface qg-1: the interface is not ready\nndsend: \"x\": not an IPv6 unicast address\n"}, nil, 0},
		{"a bad address", "::2 x qg-1", nil, outcome{Code: 255, Stderr: "ndsend: \"x\": not an IPv6 unicast address\n"}, []string{"::2 at 0s"}, 0},
		{"tentative for a while", "::2 ::3 qg-1", func(w *wire) func(netip.Addr) error {
			return func(netip.Addr) error {
				if time.Since(w.start) < time.Second {
					return ndsend.ErrTentative
				}
				return nil
			}
		}, outcome{}, []string{"::2 at 1s", "::3 at 1s"}, time.Second},
		{"congested in between", "::2 ::3 qg-1", func(w *wire) func(netip.Addr) error {
			return func(target netip.Addr) error {
				if target == second && time.Since(w.start) < time.Second {
					return ndsend.ErrCongested
				}
				return nil
			}
		}, outcome{}, []string{"::2 at 0s", "::3 at 1s"}, time.Second},
		{"tentative for ever", "::3 qg-1", func(*wire) func(netip.Addr) error {
			return only(second, ndsend.ErrTentative)
		}, outcome{Code: 2, Stderr: "ndsend: interface qg-1: " + ndsend.ErrTentative.Error() + "\n"}, nil, settleTime},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{start: time.Now()}
				if c.refuse != nil {
					w.refuse = c.refuse(w)
				}
				var o outcome
				if diff := cmp.Diff(c.want, o.run(strings.Fields(c.line), "", system{burst: w.burst})); diff != "" {
					t.Errorf("outcome (-want +got):\n%s", diff)
				}
				if !slices.Equal(c.sent, w.sent) {
					t.Errorf("sent %q, want %q", w.sent, c.sent)
				}
				if took := time.Since(w.start); took != c.took {
					t.Errorf("took %s, want %s", took, c.took)
				}
			})
		})
	}
}

func only(target netip.Addr, err error) func(netip.Addr) error {
	return func(t netip.Addr) error {
		if t == target {
			return err
		}
		return nil
	}
}

// One object for each address, in the order given; the fields are the manual's.
func TestAnnounceJSON(t *testing.T) {
	w := wire{refuse: only(netip.MustParseAddr("::3"), ndsend.ErrFiltered)}
	fake := system{burst: w.burst, enter: func(string) error { return nil }}
	var o outcome
	got := o.run(strings.Fields("--json -n blue ::2 x ::3 qg-1"), "", fake)
	const rest = `,"interface":"qg-1","netns":"blue","ok":`
	want := `{"action":"announce","address":"::2"` + rest + `true,"sent":1}
{"action":"announce","address":"x"` + rest + `false,"error":"\"x\": not an IPv6 unicast address","reason":"bad-target","sent":0}
{"action":"announce","address":"::3"` + rest + `false,"error":"announce ::3 on qg-1: a local packet filter dropped the advertisement","reason":"filtered","sent":0}
`
	if diff := cmp.Diff(want, got.Stdout); diff != "" || got.Code != exitSystem {
		t.Errorf("code %d, objects (-want +got):\n%s", got.Code, diff)
	}
}

// What stopped one stops the rest, and each address' error names that one.
func TestEachNamesItself(t *testing.T) {
	trouble := func(targets []netip.Addr) error {
		// As the sender's: in the middle of a burst, behind a filtered one.
		return fmt.Errorf("%w (and 1 more failures)", &ndsend.TargetError{Target: targets[len(targets)-1], Interface: "qg-1", Err: ndsend.ErrNotReady})
	}
	fake := system{
		burst: func(_ context.Context, _ ndsend.Config, targets []netip.Addr) ([]netip.Addr, error) {
			return targets[:1], trouble(targets)
		},
		preview: func(_ ndsend.Config, targets []netip.Addr) ([]ndsend.Outgoing, error) { return nil, trouble(targets) },
	}
	for _, c := range []struct {
		action string
		bad    []string
		stderr string
	}{
		{"announce", []string{"::3", "::4", "::5"}, "ndsend: announce ::3 on qg-1: the interface is not ready (not announced: ::3 and 2 more)\n"},
		{"dry-run", []string{"::2", "::3", "::4", "::5"}, "ndsend: announce ::5 on qg-1: the interface is not ready (and 1 more failures)\n"},
	} {
		t.Run(c.action, func(t *testing.T) {
			line := "--json ::2 ::3 ::4 ::5 qg-1"
			if c.action != "announce" {
				line = "--" + c.action + " " + line
			}
			synctest.Test(t, func(t *testing.T) {
				var o outcome
				got := o.run(strings.Fields(line), "", fake)
				if got.Stderr != c.stderr {
					t.Errorf("standard error %q, want %q", got.Stderr, c.stderr)
				}
				for _, address := range c.bad {
					found := ""
					for object := range strings.Lines(got.Stdout) {
						if strings.Contains(object, `"address":"`+address+`"`) {
							found = object
						}
					}
					if !strings.Contains(found, `"error":"announce `+address+" on qg-1: the interface is not ready") {
						t.Errorf("%s: %s", address, found)
					}
				}
			})
		})
	}
}

// A namespace that can't be entered is every address' trouble.
func TestDenied(t *testing.T) {
	fake := system{enter: func(string) error { return fmt.Errorf("%w %q: gone", ndsend.ErrNamespace, "blue") }}
	for _, c := range []struct{ action, rest string }{
		{"announce", `,"sent":0`}, {"dry-run", ""}, {"verify", ""},
	} {
		t.Run(c.action, func(t *testing.T) {
			line := "--json -n blue ::2 qg-1"
			if c.action != "announce" {
				line = "--" + c.action + " " + line
			}
			var o outcome
			got := o.run(strings.Fields(line), "", fake)
			want := outcome{Code: 2, Stderr: "ndsend: cannot enter the network namespace \"blue\": gone\n",
				Stdout: `{"action":"` + c.action + `","address":"::2","interface":"qg-1","netns":"blue","ok":false,` +
					`"error":"cannot enter the network namespace \"blue\": gone","reason":"namespace"` + c.rest + "}\n"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

// Whoever never reads what is wrong with some keeps none of the others.
func TestNobodyReadsTheComplaints(t *testing.T) {
	sent := make(chan netip.Addr, 1)
	reader, writer := io.Pipe()
	done := make(chan int)
	go func() {
		done <- run(t.Context(), []string{"x", "2001:db8::5", "qg-1"}, streams{strings.NewReader(""), io.Discard, writer},
			system{burst: func(_ context.Context, _ ndsend.Config, targets []netip.Addr) ([]netip.Addr, error) {
				sent <- targets[0]
				return targets, nil
			}})
	}()
	if got := <-sent; got != netip.MustParseAddr("2001:db8::5") {
		t.Errorf("sent %s", got)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != exitBadAddress {
		t.Errorf("exit code %d, want %d", code, exitBadAddress)
	}
}
