package dataplane

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"neutron-ndp-proxy-agent/dataplane/filter"
)

// Lines tells what the changes make of what was observed, in the lines of
// [State.String]: those with "-" in front are so and will not be, those with "+" will
// be, and a space is in front of a device that stays and is named for the lines below
// it. What that form cannot say has a "!" and the line of [Changes.String]. Nil if
// nothing has to be written, and only then.
//
//	-device qg-1 answer off link-local fe80::1 proxy-delay 0s
//	+device qg-1 answer on link-local fe80::1 proxy-delay 0s
//	+  publish 2001:db8:0:1::5
//	-  foreign 2001:db8:0:1::9
//	-rule 32800 iif fpr-1 table 110
func Lines(have Observation, c Changes) []string {
	if c.Empty() {
		return nil
	}
	l := lister{have: have, changes: c, final: c.Filter.final()}
	if l.final != nil && len(l.final.Devices) > 0 && c.Filter.Base == nil && c.Filter.Reason != "" {
		l.say("!filter remake: %s", c.Filter.Reason)
	}
	for _, name := range l.devices() {
		l.device(name)
	}
	l.ways()
	if len(l.out) == 0 {
		for line := range strings.Lines(c.String()) {
			l.say("!%s", strings.TrimSuffix(line, "\n"))
		}
	}
	return l.out
}

type lister struct {
	have    Observation
	changes Changes
	final   *filter.Content // nil: as it is
	out     []string
}

func (l *lister) say(format string, args ...any) { l.out = append(l.out, fmt.Sprintf(format, args...)) }

// devices are those that something may be written for.
func (l *lister) devices() []string {
	var names []string
	for _, c := range l.changes.Devices {
		names = append(names, c.Device)
	}
	if l.final != nil {
		for _, f := range l.have.Filter.Devices {
			names = append(names, f.Name)
		}
		for _, f := range l.final.Devices {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// device compares one with what it will be.
func (l *lister) device(name string) {
	var c DeviceChange
	if n := slices.IndexFunc(l.changes.Devices, func(c DeviceChange) bool { return c.Device == name }); n >= 0 {
		c = l.changes.Devices[n]
	}
	found, was := l.have.Filter.Device(name)
	before := found.Content()
	after, will := before, was
	if l.final != nil {
		after, will = l.final.Device(name)
	}
	i, exists := l.have.Interface(name)
	answers := exists && i.ProxyNDP
	delay := i.ProxyDelay
	if !exists {
		delay = LeaveProxyDelay
	}
	head := deviceLine(name, answers, before.LinkLocal, delay)
	next := "" // nothing of ours stays
	if will || !was && len(c.Delete) == 0 || c.Delay != nil {
		if c.Answer != Keep {
			answers = c.Answer == On
		}
		if c.Delay != nil {
			delay = *c.Delay
		}
		next = deviceLine(name, answers, after.LinkLocal, delay)
	}
	body := l.body(c, before, after)
	switch {
	case head != next:
		l.say("-%s", head)
		if next != "" {
			l.say("+%s", next)
		}
	case len(body) > 0:
		l.say(" %s", head)
	}
	l.out = append(l.out, body...)
}

// body are the lines below a device's own.
func (l *lister) body(c DeviceChange, before, after filter.Device) (out []string) {
	line := func(sign, word, what string) { out = append(out, strings.TrimRight(sign+"  "+word+" "+what, " ")) }
	for _, p := range before.Guarded {
		if !slices.Contains(after.Guarded, p) {
			line("-", "guard", p.String())
		}
	}
	for _, p := range after.Guarded {
		if !slices.Contains(before.Guarded, p) {
			line("+", "guard", p.String())
		}
	}
	if before.Open != after.Open {
		line(map[bool]string{true: "+", false: "-"}[after.Open], "open", "")
	}
	shut, opened := filter.SortedDiff(before.Published, after.Published)
	for _, a := range merged(shut, c.Delete) {
		line("-", "publish", a.String())
	}
	for _, a := range c.Remove {
		line("-", "foreign", a.String())
	}
	for _, a := range merged(opened, c.Set, c.Adopt) {
		line("+", "publish", a.String())
	}
	return out
}

func merged(lists ...[]netip.Addr) []netip.Addr {
	all := slices.Concat(lists...)
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// ways are routes and rules.
func (l *lister) ways() {
	for _, f := range slices.Concat(l.changes.Routes.Delete, l.changes.Routes.Remove) {
		l.say("-route %s", f.text())
	}
	for _, s := range l.changes.Routes.Set {
		for _, f := range s.Replaces {
			l.say("-route %s", f.text())
		}
		if !s.Present {
			l.say("+route %s", s.Route)
		}
	}
	for _, f := range l.changes.Rules.Delete {
		l.say("-rule %s", f.Rule)
	}
	for _, r := range l.changes.Rules.Add {
		l.say("+rule %s", r)
	}
}

// deviceLine is the line of a device in the text form of a [State].
func deviceLine(name string, answers bool, linkLocal netip.Addr, proxyDelay time.Duration) string {
	answer, to, delay := "off", "none", "kernel"
	if answers {
		answer = "on"
	}
	if linkLocal.IsValid() {
		to = linkLocal.String()
	}
	if proxyDelay != LeaveProxyDelay {
		delay = proxyDelay.String()
	}
	return fmt.Sprintf("device %s answer %s link-local %s proxy-delay %s", name, answer, to, delay)
}
