package buildinfo

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"
)

// Set by the linker, for builds outside of a git checkout, such as from a
// release's tarball, where the tool chain has nothing to stamp:
//
//	go build -ldflags "-X neutron-ndp-proxy-agent/cmd/internal/buildinfo.version=1.2.3
//	  -X …/buildinfo.commit=0123abcd -X …/buildinfo.date=2026-11-22T19:45:00Z"
var version, commit, date string

// Unknown stands for what neither the linker nor the tool chain said.
const Unknown = "unknown"

// Info describes a build. Its fields are never empty.
type Info struct {
	Version string // as tagged, a pseudo-version, or Unknown
	Commit  string // the full hash, with "-dirty" if files were changed, or Unknown
	Date    string // of the commit, RFC 3339 in UTC, or Unknown
}

// Get returns the description of the running binary.
func Get() Info {
	build, _ := debug.ReadBuildInfo() // nil without module support: handled below
	return describe(Info{Version: version, Commit: commit, Date: date}, build)
}

// describe completes what the linker said from what the tool chain stamped.
func describe(linker Info, build *debug.BuildInfo) Info {
	var stamped Info
	dirty := false
	if build != nil {
		if v := build.Main.Version; v != "(devel)" {
			stamped.Version = v
		}
		for _, setting := range build.Settings {
			switch setting.Key {
			case "vcs.revision":
				stamped.Commit = setting.Value
			case "vcs.time":
				stamped.Date = setting.Value
			case "vcs.modified":
				dirty = setting.Value == "true"
			}
		}
	}
	if dirty && stamped.Commit != "" {
		stamped.Commit += "-dirty"
	}
	return Info{
		Version: cmp.Or(linker.Version, stamped.Version, Unknown),
		Commit:  cmp.Or(linker.Commit, stamped.Commit, Unknown),
		Date:    utc(cmp.Or(linker.Date, stamped.Date, Unknown)),
	}
}

// utc leaves alone what is no time.
func utc(date string) string {
	t, err := time.Parse(time.RFC3339, date)
	if err != nil {
		return date
	}
	return t.UTC().Format(time.RFC3339)
}

// String is what --version prints after the program's name:
//
//	1.2.3 (commit 0123abcd, 2026-11-22T19:45:00Z, go1.26.8 linux/amd64)
func (i Info) String() string {
	return fmt.Sprintf("%s (commit %s, %s, %s %s/%s)", i.Version, i.Commit, i.Date, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
