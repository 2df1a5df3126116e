package preflight

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"neutron-ndp-proxy-agent/agent/config"
	filesource "neutron-ndp-proxy-agent/agent/source/file"
	"neutron-ndp-proxy-agent/dataplane/netns"
)

// files says which files were read.
func (x *examination) files(context.Context) []Line {
	if len(x.cfg.Files) == 0 {
		return []Line{fail("name the files (--config-file), or put them where they are looked for: neutron-ndp-proxy-agent(8), FILES",
			"no configuration file was found")}
	}
	how := ""
	if x.installed() && len(x.unit.sources()) > 0 && slices.Equal(x.Args.Sources, x.unit.sources()) {
		how = ", as the unit has it"
	}
	return []Line{ok("%s%s", strings.Join(x.cfg.Files, ", "), how)}
}

// options says what is wrong with them, each mistake and each warning for itself.
func (x *examination) options(context.Context) []Line {
	var lines []Line
	for _, err := range x.examined.Mistakes {
		if errors.Is(err, os.ErrPermission) && x.UID != 0 {
			lines = append(lines, notChecked("ask as root", "%v", err)) // who asks is not the daemon
			continue
		}
		fix := "correct it there: the daemon does not start with it (exit code 2)"
		if errors.Is(err, os.ErrNotExist) {
			fix = "make it; on a host without Neutron (source = file) start the daemon without it: docs/install.md, A host without Neutron"
		}
		lines = append(lines, fail(fix, "%v", err))
	}
	for _, w := range x.examined.Warnings {
		if strings.Contains(w.Text, "[agent] extensions") {
			continue // a line of its own
		}
		lines = append(lines, warn("the daemon works with it; what the option means: docs/configure.md", "%v", w))
	}
	if len(lines) == 0 {
		lines = append(lines, ok("%d options are set, all are understood", len(x.cfg.Origins)))
	}
	return lines
}

// Neutron's extension makes its filter there; see docs/migrate.md.
const (
	extensionTable = "filter"
	extensionChain = "neutron-l3-agent-NDP"
)

const migrate = "docs/migrate.md: take ndp_proxy out of [agent] extensions, restart the L3 agent; without a gap with beside_extension = true meanwhile"

// extension looks for the L3 agent's own NDP proxy: in its configuration, and for its
// traces in the namespaces. What the running L3 agent says is the server's to tell.
func (x *examination) extension(ctx context.Context) []Line {
	if !x.neutron() {
		return nil
	}
	const option = "[agent] extensions"
	var lines []Line
	switch set := slices.Contains(x.cfg.Extensions, config.Extension); {
	case set && x.cfg.NDPProxy.BesideExtension:
		lines = append(lines, warn(migrate, "%s names ndp_proxy%s, and beside_extension is set: both publish", option, x.origin(option)))
	case set:
		lines = append(lines, fail(migrate, "%s names ndp_proxy%s: the daemon does not start beside it", option, x.origin(option)))
	}
	names, err := netns.List(x.cfg.NDPProxy.NetnsDir)
	if err != nil {
		return append(lines, notChecked("", "%v", err)) // said by namespaces
	}
	var with []string
	for _, ns := range names {
		if !ours(ns) {
			continue
		}
		there, err := x.HasChain(ctx, x.cfg.NDPProxy.NetnsDir, ns, extensionTable, extensionChain)
		switch {
		case errors.Is(err, netns.ErrGone), errors.Is(err, netns.ErrNotReady):
		case ctx.Err() != nil:
			return append(lines, notChecked("look for what holds the kernel's lock (dmesg), and ask again", "whether all namespaces are without a filter of the extension: no end within %v, at %s", limit, ns))
		case errors.Is(err, os.ErrPermission):
			return append(lines, notChecked("ask as root", "whether a namespace has a filter of the extension: %v", err))
		case err != nil:
			lines = append(lines, warn("", "%v", err))
		case there:
			with = append(with, ns)
		}
	}
	if len(with) > 0 {
		lines = append(lines, warn(migrate, "the filter of the extension (chain %s) is in %s: it drops what it does not know", extensionChain, some(with)))
	}
	if len(lines) == 0 {
		lines = append(lines, ok("the L3 agent's own ndp_proxy is off"))
	}
	return lines
}

// ours reports whether a namespace is one that an L3 agent makes for routers.
func ours(ns string) bool {
	return strings.HasPrefix(ns, "qrouter-") || strings.HasPrefix(ns, "snat-") || strings.HasPrefix(ns, "fip-")
}

// some names the first of many.
func some(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// l3Files compares what the running L3 agent reads with what the daemon reads.
func (x *examination) l3Files(context.Context) []Line {
	if !x.neutron() {
		return nil
	}
	all, err := x.Processes()
	if err != nil {
		return []Line{notChecked("ask as root", "%v", err)}
	}
	reads := map[string]bool{}
	for _, s := range x.Args.Sources {
		reads[filepath.Clean(s.Path)] = true
	}
	if len(reads) == 0 {
		for _, s := range config.DefaultSources() {
			reads[s.Path] = true
		}
	}
	for _, f := range x.cfg.Files {
		reads[filepath.Clean(f)] = true
	}
	for _, p := range all {
		if !runs(p, "neutron-l3-agent") {
			continue
		}
		var more []string
		for _, s := range sourcesOf(commandOf(p.Args)) {
			if !reads[filepath.Clean(s.Path)] && exists(s) {
				more = append(more, s.Path)
			}
		}
		if len(more) > 0 {
			return []Line{warn("give the daemon the same, before ndp_proxy_agent.ini: docs/install.md, The unit",
				"the L3 agent (process %d) reads %s too, which the daemon does not", p.PID, strings.Join(more, ", "))}
		}
		return []Line{ok("the running L3 agent (process %d) reads no file that is not read here", p.PID)}
	}
	return []Line{warn("start neutron-l3-agent: it makes the namespaces and devices; in another container it is not seen from here",
		"no L3 agent runs on this machine")}
}

// exists reports whether a source can hold an option: a directory without files can't.
func exists(s config.Source) bool {
	if s.Dir {
		list, err := filepath.Glob(filepath.Join(s.Path, "*.conf"))
		return err == nil && len(list) > 0
	}
	_, err := os.Stat(s.Path)
	return err == nil
}

// mode says what the daemon will do here.
func (x *examination) mode(context.Context) []Line {
	if !x.neutron() {
		return nil
	}
	const option = "[DEFAULT] agent_mode"
	if x.cfg.AgentMode == config.ModeDVRNoExternal {
		return []Line{warn("nothing, if the instances of this host are to be reached through the snat- namespace of a network node",
			"agent_mode is %s%s: no address is published on this host", x.cfg.AgentMode, x.origin(option))}
	}
	return []Line{ok("agent_mode %s%s", x.cfg.AgentMode, x.origin(option))}
}

// source looks at the file that stands in for Neutron.
func (x *examination) source(context.Context) []Line {
	if x.neutron() {
		return nil
	}
	path := x.cfg.NDPProxy.SourceFile
	f, err := os.Open(path)
	if err != nil {
		return []Line{fail("make it: docs/configure.md, A file instead of Neutron", "source_file: %v", err)}
	}
	defer func() { _ = f.Close() }() // only read
	raw, err := io.ReadAll(io.LimitReader(f, maxSource))
	if err != nil {
		return []Line{fail("", "source_file: %v", err)}
	}
	s, err := filesource.Parse(raw)
	if err != nil {
		return []Line{fail("correct it there: until then the daemon publishes what the file said before, or nothing", "%s: %v", path, err)}
	}
	return []Line{ok("%s: %d devices, %d published addresses", path, len(s.Routers), len(s.Proxies))}
}

// maxSource is above what the parser takes.
const maxSource = 8 << 20
