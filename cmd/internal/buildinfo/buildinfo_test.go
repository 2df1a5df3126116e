package buildinfo

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDescribe(t *testing.T) {
	stamped := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123abcd"}
	clock := debug.BuildSetting{Key: "vcs.time", Value: "2026-11-22T20:45:00+01:00"}
	dirty := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	clean := debug.BuildSetting{Key: "vcs.modified", Value: "false"}
	for _, c := range []struct {
		name   string
		linker Info
		build  *debug.BuildInfo
		want   Info
	}{
		{"nothing", Info{}, nil, Info{Unknown, Unknown, Unknown}},
		{"no checkout", Info{}, stamped("(devel)"), Info{Unknown, Unknown, Unknown}},
		{"checkout", Info{}, stamped("v1.2.3", revision, clock, clean), Info{"v1.2.3", "0123abcd", "2026-11-22T19:45:00Z"}},
		{"changed", Info{}, stamped("v1.2.3+dirty", revision, clock, dirty), Info{"v1.2.3+dirty", "0123abcd-dirty", "2026-11-22T19:45:00Z"}},
		{"changed, no commit", Info{}, stamped("(devel)", dirty), Info{Unknown, Unknown, Unknown}},
		{"tarball", Info{"1.2.3", "feed", "2026-01-02T03:04:05Z"}, stamped("(devel)"), Info{"1.2.3", "feed", "2026-01-02T03:04:05Z"}},
		{"linker wins", Info{Version: "1.2.3-1"}, stamped("v1.2.3", revision, clock), Info{"1.2.3-1", "0123abcd", "2026-11-22T19:45:00Z"}},
		{"odd date", Info{Date: "yesterday"}, nil, Info{Unknown, Unknown, "yesterday"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, describe(c.linker, c.build)); diff != "" {
				t.Errorf("info (-want +got):\n%s", diff)
			}
		})
	}
}

func TestString(t *testing.T) {
	got := Info{"1.2.3", "0123abcd", "2026-11-22T19:45:00Z"}.String()
	want := "1.2.3 (commit 0123abcd, 2026-11-22T19:45:00Z, " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + ")"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The names that the build files pass to the linker are those of this package.
func TestLinkerNames(t *testing.T) {
	const path = "neutron-ndp-proxy-agent/cmd/internal/buildinfo"
	binary := filepath.Join(t.TempDir(), "ndsend")
	flags := "-X " + path + ".version=9.8.7 -X " + path + ".commit=feed -X " + path + ".date=2026-01-02T03:04:05Z"
	if out, err := exec.Command("go", "build", "-o", binary, "-ldflags", flags, "neutron-ndp-proxy-agent/cmd/ndsend").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	out, err := exec.Command(binary, "--version").CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	if want := "ndsend 9.8.7 (commit feed, 2026-01-02T03:04:05Z, "; !strings.HasPrefix(string(out), want) {
		t.Errorf("--version prints %q, want %q...", out, want)
	}
}
