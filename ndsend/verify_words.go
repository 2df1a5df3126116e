package ndsend

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Condition is a stable word for something that an answer needs.
type Condition string

// The conditions.
const (
	ConditionUp        Condition = "up"
	ConditionCarrier   Condition = "carrier"
	ConditionARP       Condition = "arp"       // neighbour discovery, not turned off by NOARP
	ConditionMTU       Condition = "mtu"       // 1,280 or more: less turns IPv6 off
	ConditionIPv6      Condition = "ipv6"      // not turned off by disable_ipv6
	ConditionTentative Condition = "tentative" // an own address, checked for duplicates
	ConditionEntry     Condition = "entry"
	ConditionProxyNDP  Condition = "proxy_ndp"
	// ConditionForwarding is of the device.
	ConditionForwarding Condition = "forwarding"
	ConditionSource     Condition = "source"
	// For unicast solicitations alone:
	ConditionAllProxyNDP   Condition = "all.proxy_ndp"
	ConditionAllForwarding Condition = "all.forwarding"
	ConditionRoute         Condition = "route"
)

// Missing is a condition that does not hold.
type Missing struct {
	Condition Condition
	// Text says what is wrong, and Remedy what to do: a command, or words.
	Text, Remedy string
}

// deviceMissing is what a device needs to answer anything.
func deviceMissing(name string, d DeviceState) []Missing {
	var all []Missing
	switch {
	case !d.Up:
		all = append(all, Missing{ConditionUp, name + " is down", "ip link set " + word(name) + " up"})
	case !d.Carrier:
		all = append(all, Missing{ConditionCarrier, name + " has no carrier", "bring the other end of its link up"})
	}
	if d.noARP {
		all = append(all, Missing{ConditionARP, name + " takes no part in neighbour discovery (NOARP)", "ip link set " + word(name) + " arp on"})
	}
	switch {
	case d.disabled:
		all = append(all, Missing{ConditionIPv6, "IPv6 is turned off on " + name, setting(name, "disable_ipv6", 0)})
	case !d.IPv6:
		all = append(all, Missing{ConditionMTU, name + " has no IPv6, as with an MTU below 1280", "ip link set " + word(name) + " mtu 1500"})
	}
	return all
}

// proxyMissing is what a device needs to answer for another.
func proxyMissing(name string, d DeviceState) []Missing {
	var all []Missing
	if !d.ProxyNDP && !d.AllProxyNDP {
		all = append(all, Missing{ConditionProxyNDP, "proxy_ndp of " + name + " and of all is 0", setting(name, "proxy_ndp", 1)})
	}
	if !d.Forwarding {
		all = append(all, Missing{ConditionForwarding, "forwarding of " + name + " is 0", setting(name, "forwarding", 1)})
	}
	return append(all, sourceMissing(name, d)...)
}

func sourceMissing(name string, d DeviceState) []Missing {
	if d.Source.IsValid() {
		return nil
	}
	return []Missing{{
		ConditionSource, name + " has no address to answer from, or duplicate address detection has not passed it",
		"wait, or ip address add <link-local address>/64 dev " + word(name),
	}}
}

func entryMissing(name string, f finding) Missing {
	m := Missing{ConditionEntry, "no proxy entry on " + name, fmt.Sprintf("ip -6 neighbour add proxy %s dev %s nud permanent", f.target, word(name))}
	if len(f.elsewhere) > 0 {
		m.Text += ", only on " + strings.Join(f.elsewhere, ", ")
	}
	return m
}

func tentativeMissing(name string, f finding) Missing {
	if f.own.Flags&unix.IFA_F_DADFAILED != 0 {
		return Missing{ConditionTentative, fmt.Sprintf("%s is an address of %s that failed duplicate address detection", f.target, name),
			"take it from the other node on the link that has it"}
	}
	return Missing{ConditionTentative, fmt.Sprintf("%s is an address of %s that is still tentative (duplicate address detection)", f.target, name), "wait"}
}

// unicastMissing is what the kernel needs to answer a unicast solicitation by
// itself: otherwise it forwards the packet or drops it.
func unicastMissing(d DeviceState, f finding) []Missing {
	var all []Missing
	if !d.AllProxyNDP {
		all = append(all, Missing{ConditionAllProxyNDP, "proxy_ndp of all is 0", setting("all", "proxy_ndp", 1)})
	}
	if !d.AllForwarding {
		all = append(all, Missing{ConditionAllForwarding, "forwarding of all is 0", setting("all", "forwarding", 1)})
	}
	if !f.routed {
		all = append(all, Missing{ConditionRoute, "no route leads to " + f.target.String(), fmt.Sprintf("ip -6 route add %s/128 ...", f.target)})
	}
	return all
}

// setting is the command that sets one; slashes, as a name may have dots.
func setting(device, key string, value int) string {
	return fmt.Sprintf("sysctl -w %s", word(fmt.Sprintf("net/ipv6/conf/%s/%s=%d", device, key, value)))
}

// word quotes what a shell would not take as it is: a device's name may hold
// anything but white space, a slash and a colon.
func word(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.,/=@+", r)
	}
	if strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
