package sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func sorted[T cmp.Ordered](s []T) []T {
	slices.Sort(s)
	return slices.Compact(s)
}

// Within is how long the daemon may take by events alone, on a machine that has
// other things to do.
const Within = 8 * time.Second

// Settle waits until the kernel of every host whose daemon runs is as the model
// says, and fails the test if it is not in time.
func (w *World) Settle() {
	w.t.Helper()
	w.SettleWithin(w.t, Within)
}

// SettleWithin is [World.Settle] with a time and a test of one's own.
func (w *World) SettleWithin(t testing.TB, within time.Duration) {
	t.Helper()
	if left := w.Differences(within); len(left) > 0 {
		t.Fatalf("not settled within %s:\n%s\nlast words of the daemons at %s:\n%s", within, strings.Join(left, "\n"),
			time.Now().Format("05.000"), w.LastWords())
	}
}

// Differences waits until there are none, and returns what is left after the
// time. Everything is looked at again once it seemed right: what is right and
// then goes wrong is found too.
func (w *World) Differences(within time.Duration) (left []string) {
	w.t.Helper()
	for deadline, calm := time.Now().Add(within), 0; ; {
		if left = w.differences(); len(left) == 0 {
			if calm++; calm == 2 {
				return nil
			}
			continue
		}
		if calm = 0; time.Now().After(deadline) {
			return left
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (w *World) differences() (out []string) {
	w.Last = map[string]*Dump{}
	for _, h := range w.Hosts {
		if h.daemon == nil && h.outside == nil {
			continue
		}
		dumps := map[string]*Dump{}
		for _, name := range sortedKeys(h.l3.have) {
			d, err := ReadDump(h.l3.have[name].ns)
			if err != nil {
				out = append(out, h.Name+": "+err.Error())
				continue
			}
			dumps[name] = d
			w.Last[h.Name+"/"+name] = d
		}
		for _, name := range sortedKeys(dumps) {
			for _, line := range w.expect(h, name, dumps).differences(name, dumps[name]) {
				out = append(out, h.Name+": "+line)
			}
		}
	}
	return out
}

// Dumps reads all namespaces of a host that the L3 agent made.
func (w *World) Dumps(h *Host) map[string]*Dump {
	w.t.Helper()
	out := map[string]*Dump{}
	for _, name := range sortedKeys(h.l3.have) {
		d, err := ReadDump(h.l3.have[name].ns)
		if err != nil {
			w.t.Fatal(err)
		}
		out[name] = d
	}
	return out
}

// LastWords are the last lines of each daemon's log.
func (w *World) LastWords() string {
	var said strings.Builder
	for _, h := range w.Hosts {
		if h.outside != nil {
			fmt.Fprintf(&said, "%s: %s\n", h.Name, h.outside.Words())
			continue
		}
		if h.daemon == nil {
			fmt.Fprintf(&said, "%s: no daemon\n", h.Name)
			continue
		}
		all := h.daemon.Logs.All()
		for _, e := range all[max(0, len(all)-12):] {
			fmt.Fprintf(&said, "%s: %s %s %v\n", h.Name, e.Time.Format("05.000"), e.Message, e.ContextMap())
		}
	}
	return said.String()
}
