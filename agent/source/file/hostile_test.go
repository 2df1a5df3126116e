package file

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Files that are made to eat memory or time are refused with few words.
func TestHostileFiles(t *testing.T) {
	const most = 400 << 20 // of what a file of the largest size may allocate
	head := "version: 1\nnamespaces:\n- name: a\n  devices:\n  - name: b\n    published: "
	laughs := "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := range 12 {
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 9), ","))
	}
	for _, c := range []struct{ name, text, says string }{
		{"billion laughs", laughs + "version: 1\n", ""},
		{"laughs where they fit", "version: 1\nnamespaces: [&n {name: a, devices: [&d {name: b, published: &p [" + strings.Repeat("'2001:db8::1',", 1000) + "]}" +
			strings.Repeat(",*d", 10_000) + "]}" + strings.Repeat(",*n", 10_000) + "]\n", ""},
		{"itself", "version: 1\nnamespaces: &a [*a]\n", ""},
		{"nesting", head + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), ""},
		{"nesting of maps", head + strings.Repeat("{a: ", 100_000), ""},
		{"wrong types", head + "[" + strings.Repeat("[],", 100_000) + "]\n", ""},
		{"bad addresses", head + "[" + strings.Repeat("x,", 100_000) + "]\n", "and "},
		{"a long address", head + "[" + strings.Repeat("x", 1<<20) + "]\n", "is not an IPv6 address"},
		{"unknown fields", "version: 1\n" + strings.Repeat("x: 1\n", 100_000), ""},
		{"a long name", "version: 1\nnamespaces: [{name: " + strings.Repeat("n", 1<<20) + "}]\n", "longer than 255"},
		{"too large", strings.Repeat("#", maxBytes+1), "larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			s, err := Parse([]byte(c.text))
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 16<<10 {
				t.Fatalf("%d routers, %.500v", len(s.Routers), err)
			}
			allocated := after.TotalAlloc - before.TotalAlloc
			if allocated > most || took > 30*time.Second {
				t.Errorf("%d MiB were allocated, in %v", allocated>>20, took)
			}
			t.Logf("%d KiB of file, %d MiB allocated, %v: %.120q", len(c.text)>>10, allocated>>20, took.Round(time.Millisecond), err.Error())
		})
	}
	for _, name := range []string{"..", ".", "a/b", "a b", "a\u0085b", "\\e[2J", "\\u202e", "\\x07"} {
		if _, err := Parse([]byte("version: 1\nnamespaces: [{name: \"" + name + "\", devices: [{name: b}]}]\n")); err == nil {
			t.Errorf("namespace %q is accepted", name)
		}
	}
}
