package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"neutron-ndp-proxy-agent/agent/config"
	rpc "neutron-ndp-proxy-agent/rpc/neutron"
)

const pluginType = rpc.ServicePluginNDPProxy

// skewed is a difference of clocks that is worth a word: heartbeats are stored to the
// second.
const skewed = 5 * time.Second

// agents compares what the server knows of this host's agents with what is here.
func (x *examination) agents(ctx context.Context, s Server) []Line {
	host := x.cfg.Host
	names := x.otherNames(host)
	all, bad, err := s.Reports(ctx, append([]string{host}, names...))
	if err != nil {
		return named("l3-agent", notChecked("openstack network agent list --host "+host, "the server does not tell of the agents: %v", err))
	}
	var l3, own *rpc.Reported
	var newest time.Time
	elsewhere := map[string]bool{}
	for i, r := range all {
		switch {
		case r.Type == rpc.L3AgentType && r.Host == host:
			l3 = &all[i]
		case r.Type == rpc.L3AgentType:
			elsewhere[r.Host] = true
		case r.Type == rpc.DefaultAgentType && r.Host == host:
			own = &all[i]
		}
		if r.Host == host && r.Heartbeat.After(newest) {
			newest = r.Heartbeat
		}
	}
	lines := named("host", x.hostLine(l3 != nil, names, elsewhere))
	for _, b := range bad {
		lines = append(lines, named("l3-agent", warn("please report it", "an agent of host %s is not understood: %v", b.ID, b.Err))...)
	}
	if l3 != nil {
		lines = append(lines, named("l3-agent", x.l3Line(*l3)...)...)
	}
	lines = append(lines, named("ndp-agent", x.ownLine(own))...)
	if !newest.IsZero() {
		lines = append(lines, named("server-clock", x.clockLine(newest))...)
	}
	return lines
}

// otherNames are what this machine may be called by somebody who does not take host
// from where the daemon takes it.
func (x *examination) otherNames(host string) []string {
	var out []string
	add := func(n string) {
		if n != "" && n != host && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	short, _, _ := strings.Cut(host, ".")
	add(short)
	add(strings.ToLower(host))
	if x.Args.Hostname != nil {
		if n, err := x.Args.Hostname(); err == nil {
			add(n)
			short, _, _ = strings.Cut(n, ".")
			add(short)
		}
	}
	return out
}

func (x *examination) hostLine(known bool, names []string, elsewhere map[string]bool) Line {
	host := x.cfg.Host
	at := x.origin("[DEFAULT] host")
	if known {
		return ok("%s%s is the host of an L3 agent in Neutron", host, at)
	}
	for _, n := range names {
		if elsewhere[n] {
			return fail(fmt.Sprintf("host = %s, as the L3 agent has it, in a file that both read", n), "Neutron knows no L3 agent of host %s%s, but one of %s", host, at, n)
		}
	}
	return fail("start the L3 agent of this machine; if it runs, host has to be what `openstack network agent list --agent-type l3` shows",
		"Neutron knows no L3 agent of host %s%s", host, at)
}

func (x *examination) l3Line(r rpc.Reported) []Line {
	var lines []Line
	age := x.Now().Sub(r.Heartbeat)
	switch {
	case !r.AdminUp:
		lines = append(lines, fail("openstack network agent set --enable "+r.ID, "the L3 agent is administratively down: the server gives this host no routers"))
	case age > x.cfg.AgentDownTime:
		lines = append(lines, fail("start neutron-l3-agent, and look at its log; see also clock", "the L3 agent is dead for Neutron: its last report is %s old", round(age)))
	default:
		lines = append(lines, ok("alive, last report %s ago", round(age)))
	}
	switch {
	case r.Mode != x.cfg.AgentMode:
		lines = append(lines, fail("agent_mode in a file that both read (l3_agent.ini); then restart both", "the L3 agent works in agent_mode %s, the daemon would in %s%s",
			r.Mode, x.cfg.AgentMode, x.origin("[DEFAULT] agent_mode")))
	default:
		lines = append(lines, ok("it works in agent_mode %s, as the daemon does", r.Mode))
	}
	if slices.Contains(r.Extensions, config.Extension) {
		l := fail
		if x.cfg.NDPProxy.BesideExtension {
			l = warn
		}
		lines = append(lines, l(migrate, "the running L3 agent has its own ndp_proxy loaded"))
	}
	return lines
}

// ownLine says what Neutron has heard of the daemon.
func (x *examination) ownLine(r *rpc.Reported) Line {
	const look = "the daemon's log, `state report failed`; see also clock"
	running := x.asked == nil
	if x.cfg.ReportInterval == 0 {
		return ok("reports are off (report_interval 0)")
	}
	if r == nil {
		if running && x.Now().Sub(x.daemon.Started) > x.cfg.AgentDownTime {
			return fail(look, "the daemon runs, and Neutron has heard nothing of it")
		}
		return ok("Neutron has not heard of the daemon yet")
	}
	age := x.Now().Sub(r.Heartbeat)
	switch {
	case age <= x.cfg.AgentDownTime:
		return ok("alive, last report %s ago", round(age))
	case running:
		return fail(look, "the daemon runs, and is dead for Neutron: its last report is %s old", round(age))
	}
	return warn("systemctl start "+program, "dead for Neutron: its last report is %s old", round(age))
}

// clockLine compares this machine's clock with the server's, as far as heartbeats of
// this host's agents allow: one from the future tells that this clock is late, while
// an old one may be that of a dead agent.
func (x *examination) clockLine(newest time.Time) Line {
	const fix = "let the same time servers set both clocks (chrony, systemd-timesyncd)"
	ahead := newest.Sub(x.Now())
	switch {
	case ahead > x.cfg.AgentDownTime:
		return fail(fix, "this clock is at least %s behind the server's: agents would pass for dead", round(ahead))
	case ahead > skewed:
		return warn(fix, "this clock is at least %s behind the server's", round(ahead))
	}
	return ok("the server's clock is not ahead of this one")
}

// round makes an age readable.
func round(d time.Duration) time.Duration { return max(0, d.Round(time.Second)) }
