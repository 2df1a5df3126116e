//go:build rabbitmq

package chaos

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/sim"
)

const (
	// repaired bounds the repair of what somebody changed: an audit finds it,
	// where no event of the kernel tells before.
	repaired = audit + 10*time.Second

	saysFight = "again and again"
)

// handFaults are an administrator who removes or changes what is ours, and
// programs that do it all the time.
func handFaults() []fault {
	hand := func(do func(s *stage, p *part)) func(*stage, *testing.T) {
		return func(s *stage, _ *testing.T) { do(s, s.victim) }
	}
	onDVR := func(do func(s *stage, p *part)) func(*stage, *testing.T) {
		return func(s *stage, _ *testing.T) { do(s, s.dvr) }
	}
	victim, dvr := []string{"victim"}, []string{"dvr"}
	return []fault{
		{name: "entry deleted by hand and found by the audit", hits: victim, still: true, drift: map[dataplane.Kind]int{"entry": 1}, within: repaired, do: hand(deleteEntry)},
		{name: "table deleted by hand and found by the audit", hits: victim, still: true, opens: true, drift: map[dataplane.Kind]int{"filter": 1}, within: repaired, do: hand(deleteTable)},
		{name: "entry deleted by hand", hits: victim, drift: map[dataplane.Kind]int{"entry": 1}, within: repaired, do: hand(deleteEntry)},
		{name: "entry of ours added by hand", drift: map[dataplane.Kind]int{"entry": 1}, within: repaired, do: hand(func(s *stage, p *part) {
			s.ip(p, "neigh replace proxy", p.hidden.Addr.String(), "dev", p.device, "protocol 110")
		})},
		{name: "table deleted by hand", hits: victim, opens: true, drift: map[dataplane.Kind]int{"filter": 1}, within: repaired, do: hand(deleteTable)},
		{name: "rules of the filter flushed by hand", hits: victim, opens: true, drift: map[dataplane.Kind]int{"filter": 1}, within: repaired,
			do: hand(func(s *stage, p *part) {
				s.host.Namespace(p.namespace).Run("nft", "flush chain ip6", sim.Table, "forward")
			})},
		{name: "address taken from the filter by hand", hits: victim, drift: map[dataplane.Kind]int{"filter": 1}, within: repaired,
			do: hand(func(s *stage, p *part) {
				s.host.Namespace(p.namespace).Run("nft", "delete element ip6", sim.Table, "published-"+p.device, "{", p.steady.Addr.String(), "}")
			})},
		{name: "proxy_ndp changed by hand", hits: victim, drift: map[dataplane.Kind]int{"sysctl": 1}, within: repaired, do: hand(switchOff)},
		{name: "proxy_delay changed by hand", hits: victim, drift: map[dataplane.Kind]int{"sysctl": 1}, within: repaired,
			do: hand(func(s *stage, p *part) {
				s.host.Namespace(p.namespace).Sysctl("net/ipv6/neigh/"+p.device+"/proxy_delay", "77")
			})},
		{name: "host route deleted by hand", hits: dvr, drift: map[dataplane.Kind]int{"route": 1}, within: repaired, do: onDVR(deleteRoute)},
		{name: "way back deleted by hand", hits: dvr, drift: map[dataplane.Kind]int{"rule": 2}, within: repaired, do: onDVR(deleteRules)},
		{name: "all of ours removed by hand", hits: []string{"victim", "dvr"}, opens: true, drift: map[dataplane.Kind]int{"filter": 2}, within: repaired,
			do: func(s *stage, _ *testing.T) {
				for _, p := range []*part{s.victim, s.dvr} {
					deleteTable(s, p)
					switchOff(s, p)
					s.ip(p, "neigh flush proxy") // of others too
				}
				deleteRules(s, s.dvr)
				s.ip(s.dvr, "route flush proto 110")
				s.ip(s.dvr, "route flush table 110")
			}},
		fight("settings undone all the time", "victim", func(s *stage) {
			s.host.Namespace(s.victim.namespace).Sysctl("net/ipv6/conf/"+s.victim.device+"/proxy_ndp", "0")
		}),
		fight("routes and rules undone all the time", "dvr", func(s *stage) {
			ns := s.host.Namespace(s.dvr.namespace)
			_, _ = ns.Try("ip", "-6", "route", "flush", "proto", "110") // it may not be back yet
			_, _ = ns.Try("ip", "-6", "rule", "flush", "protocol", "110")
		}),
	}
}

func (s *stage) ip(p *part, words ...string) {
	s.host.Namespace(p.namespace).IP(strings.Fields("-6 " + strings.Join(words, " "))...)
}

func deleteEntry(s *stage, p *part) {
	s.ip(p, "neigh del proxy", p.steady.Addr.String(), "dev", p.device)
}

func deleteTable(s *stage, p *part) {
	s.host.Namespace(p.namespace).Run("nft", "delete table ip6", sim.Table)
}

func switchOff(s *stage, p *part) {
	s.host.Namespace(p.namespace).Sysctl("net/ipv6/conf/"+p.device+"/proxy_ndp", "0")
}

func deleteRoute(s *stage, p *part) { s.ip(p, "route del", p.steady.Addr.String()+"/128", "proto 110") }

func deleteRules(s *stage, p *part) { s.ip(p, "rule flush protocol 110") }

const (
	fightTime = 8 * time.Second
	fightStep = 5 * time.Millisecond
	// fightCalm is longer than it takes the agent's damper to forget the churn before.
	fightCalm = 15 * time.Second
	// fightCPU is how much of a processor the daemon, with the race detector, may
	// need in a fight.
	fightCPU = 0.4
)

// fight is another program that undoes what we write as soon as it is written.
func fight(name, hits string, undo func(s *stage)) fault {
	stop, done := make(chan struct{}), sync.WaitGroup{}
	var began time.Time
	var before time.Duration
	return fault{
		name: name, hits: []string{hits}, shows: saysFight, calm: fightCalm, hold: fightTime, within: repaired,
		do: func(s *stage, t *testing.T) {
			stop = make(chan struct{})
			began, before = time.Now(), s.cpu(t)
			done.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(fightStep):
						undo(s)
					}
				}
			})
		},
		undo: func(s *stage, t *testing.T) {
			close(stop)
			done.Wait()
			used := float64(s.cpu(t)-before) / float64(time.Since(began))
			t.Logf("%.0f %% of a processor for %v", 100*used, time.Since(began).Round(time.Second))
			if used > fightCPU {
				t.Errorf("the daemon needs %.0f %% of a processor in a fight, want at most %.0f %%", 100*used, 100*fightCPU)
			}
		},
	}
}

// cpu is the processor time of the daemon so far.
func (s *stage) cpu(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.daemon.pid()))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	var utime, stime int64
	if _, err := fmt.Sscan(strings.Join(strings.Fields(after)[11:13], " "), &utime, &stime); err != nil {
		t.Fatalf("%v in %q", err, stat)
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 everywhere
	return time.Duration(utime+stime) * tick
}
