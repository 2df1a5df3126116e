package preflight

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"neutron-ndp-proxy-agent/agent/config"
	"neutron-ndp-proxy-agent/dataplane/netns"
	"neutron-ndp-proxy-agent/dataplane/probe"
)

// capabilities says whether the daemon will have what it needs: by its unit, where
// there is one, else like this process.
func (x *examination) capabilities(context.Context) []Line {
	need, err := x.Needs(x.cfg.NDPProxy.Announce)
	if err != nil {
		return []Line{notChecked("", "%v", err)}
	}
	var have, lines = []string{}, []Line{}
	byUnit := x.installed() && x.unit["User"] != "" && x.unit["User"] != "root"
	for _, n := range need {
		name := strings.ToLower(n.Name)
		ambient := slices.Contains(strings.Fields(strings.ToLower(x.unit["AmbientCapabilities"])), name)
		bounding := slices.Contains(strings.Fields(strings.ToLower(x.unit["CapabilityBoundingSet"])), name)
		switch {
		case !n.Bounding:
			lines = append(lines, fail("give it to the container or whatever limits this machine", "%s can be had by nobody here: it is needed %s", n.Name, n.Use))
		case byUnit && !(ambient && bounding):
			lines = append(lines, fail("AmbientCapabilities= and CapabilityBoundingSet= of the unit: "+showUnit, "the unit does not give %s: it is needed %s", n.Name, n.Use))
		case !byUnit && !n.Effective:
			lines = append(lines, notChecked("ask as root, or after installing the unit", "this process lacks %s, which is needed %s", n.Name, n.Use))
		default:
			have = append(have, n.Name)
		}
	}
	if len(have) > 0 {
		by := "this process has"
		if byUnit {
			by = "the unit gives"
		}
		lines = append([]Line{ok("%s %s", by, strings.Join(have, ", "))}, lines...)
	}
	return lines
}

// featureText words what the kernel can do, and what to do if it can't.
func featureText(f probe.Feature) (check, found, fix string) {
	switch f {
	case probe.IPv6:
		return "ipv6", "on in new network namespaces", "net.ipv6.conf.default.disable_ipv6 = 0 and no ipv6.disable on the kernel's command line (net.core.devconf_inherit_init_net 1 hands the host's setting on)"
	case probe.Sysctls:
		return "sysctls", "proxy_ndp and proxy_delay of a device can be set", "/proc/sys has to be writable: in a container it has to be privileged"
	case probe.Neighbours:
		return "neighbours", "proxy neighbours keep the mark of who made them", "Linux 5.0 or newer"
	case probe.Filter:
		return "nftables", "tables, sets, rules and hooks work as they are used", "a kernel with CONFIG_NF_TABLES and CONFIG_NF_TABLES_IPV6; modprobe nf_tables"
	case probe.Rules:
		return "rules", "routing rules work as they are used", "a kernel with CONFIG_IPV6_MULTIPLE_TABLES, for distributed routers"
	}
	return "kernel", "network namespaces can be made and entered", "a kernel with CONFIG_NET_NS"
}

func (x *examination) kernel(ctx context.Context) []Line {
	o := probe.Options{Protocol: x.cfg.NDPProxy.Protocol, Table: x.cfg.NDPProxy.Table, Rules: x.cfg.AgentMode == config.ModeDVR || x.cfg.AgentMode == config.ModeDVRSNAT}
	var lines []Line
	for _, r := range x.Kernel(ctx, o) {
		check, found, fix := featureText(r.Feature)
		switch {
		case probe.Denied(r):
			return named("kernel", notChecked("ask as root", "%v", r.Err))
		case r.Err != nil:
			lines = append(lines, named(check, fail(fix, "%v", r.Err))...)
		default:
			lines = append(lines, named(check, ok("%s", found))...)
		}
	}
	return lines
}

// namespaces looks at the directory of the named namespaces.
func (x *examination) namespaces(context.Context) []Line {
	dir := x.cfg.NDPProxy.NetnsDir
	var names []string
	var err error
	why := x.asDaemon(func() { names, err = netns.List(dir) })
	if why != nil {
		names, err = netns.List(dir)
	}
	if err != nil {
		return []Line{fail("chmod 0755 "+dir, "%v", err)}
	}
	if _, err := os.Stat(dir); err != nil {
		return []Line{warn("systemd-tmpfiles --create (the package's tmpfiles.d makes it), or the first `ip netns add`", "%s does not exist yet: %v", dir, errors.Unwrap(err))}
	}
	routers := 0
	for _, n := range names {
		if ours(n) {
			routers++
		}
	}
	line := ok("%s: %d namespaces, %d of them routers'", dir, len(names), routers)
	mounts, err := x.Mounts()
	if err != nil {
		return []Line{line, notChecked("", "%v", err)}
	}
	if at, spreads := propagation(mounts, dir); !spreads {
		return []Line{line, warn(fmt.Sprintf("mount --make-rshared %s; in a container mount the host's %s with propagation rslave or shared", at, dir),
			"the mount %s is private: namespaces that are made elsewhere (by the L3 agent's container, on the host) do not appear here", at)}
	}
	return []Line{line}
}

// propagation finds the mount that a directory is in, and whether mounts reach it from
// elsewhere (proc_pid_mountinfo(5): shared or a slave).
func propagation(mountinfo []byte, dir string) (at string, spreads bool) {
	at = "/"
	for line := range strings.Lines(string(mountinfo)) {
		f := strings.Fields(line)
		if len(f) < 7 {
			continue
		}
		point := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\134`, `\`).Replace(f[4])
		if !within(dir, point) || len(point) < len(at) {
			continue
		}
		at, spreads = point, false // the later of two on one point is the upper one
		for _, o := range f[6:] {
			if o == "-" {
				break
			}
			spreads = spreads || strings.HasPrefix(o, "shared:") || strings.HasPrefix(o, "master:")
		}
	}
	return at, spreads
}

// uplinks looks whether there are devices of the names that were given.
func (x *examination) uplinks(context.Context) []Line {
	if len(x.cfg.NDPProxy.Uplinks) == 0 {
		return nil
	}
	there, err := x.Devices()
	if err != nil {
		return []Line{notChecked("", "%v", err)}
	}
	var without []string
	for _, pattern := range x.cfg.NDPProxy.Uplinks {
		if !slices.ContainsFunc(there, func(d string) bool { match, err := path.Match(pattern, d); return match && err == nil }) {
			without = append(without, pattern)
		}
	}
	if len(without) > 0 {
		return []Line{warn("name the devices behind which the external networks are (ip link)", "uplinks: there is no device %s", strings.Join(without, ", "))}
	}
	return []Line{ok("there is a device for each of %s", strings.Join(x.cfg.NDPProxy.Uplinks, ", "))}
}

func (x *examination) clock(context.Context) []Line {
	synchronised, err := x.Synchronised()
	switch {
	case err != nil:
		return []Line{notChecked("", "whether the clock is set by a time server: %v", err)}
	case !synchronised:
		return []Line{warn("start chrony, systemd-timesyncd or another NTP client; in a virtual machine with the host's clock it can be right all the same",
			"nobody keeps the clock right (adjtimex: unsynchronised)")}
	}
	return []Line{ok("synchronised")}
}

// others looks for programs that answer for neighbours, too.
func (x *examination) others(context.Context) []Line {
	all, err := x.Processes()
	if err != nil {
		return []Line{notChecked("ask as root", "%v", err)}
	}
	var lines []Line
	daemons := 0
	for _, p := range all {
		for _, name := range []string{"ndppd", "npd6", "pndpd", "odhcpd", "ndproxyd"} {
			if runs(p, name) {
				lines = append(lines, warn("see that it works on other devices than the routers'", "%s (process %d) answers for neighbours, too", name, p.PID))
			}
		}
		if c := commandOf(p.Args); runs(p, program) && (len(c) == 1 || strings.HasPrefix(c[1], "-")) {
			daemons++
		}
	}
	if daemons > 1 {
		lines = append(lines, warn("stop all but one, unless they serve different namespaces", "%d daemons %s run on this machine", daemons, program))
	}
	if len(lines) == 0 {
		lines = append(lines, ok("no other program that answers for neighbours is known to run here"))
	}
	return lines
}

// runs reports whether a process is that program.
func runs(p Process, name string) bool {
	c := commandOf(p.Args)
	return len(c) > 0 && filepath.Base(c[0]) == name
}

// python is the interpreter of Neutron's programs.
var python = regexp.MustCompile(`^python[0-9.]*$`)

// commandOf is a command line from its program on, without an interpreter. Neutron's
// agents write theirs anew, as one text (setproctitle): "neutron-l3-agent
// (/usr/bin/python3 /usr/bin/neutron-l3-agent --config-file ...)". Blanks in a path are
// lost there.
func commandOf(args []string) []string {
	if len(args) == 1 {
		if _, inner, found := strings.Cut(args[0], " ("); found && strings.HasSuffix(inner, ")") {
			args = strings.Fields(strings.TrimSuffix(inner, ")"))
		}
	}
	if len(args) == 0 || !python.MatchString(filepath.Base(args[0])) {
		return args
	}
	args = args[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		args = args[1:]
	}
	return args
}
