package agent_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/nettest"
)

// Routes of others in the places of ours are told and left alone, and keep
// neither the rest nor the start from succeeding.
func TestRoutesOfOthersThatAreInTheWay(t *testing.T) {
	c := newCompute(t, "a")
	a := c.routers["a"]
	c.fip.IP("-6", "route", "add", "unreachable", "default", "table", "110", "proto", "bird")
	c.fip.IP("-6", "route", "add", a.addr.String()+"/128", "dev", "fpr-a", "metric", "100", "proto", "bird")
	d := start(t, c.Dir, c.says("a"), settings{})
	d.awaitReady(t)
	said := func(text string) bool {
		for _, e := range d.logs.All() {
			for _, f := range e.Context {
				if strings.Contains(f.String, text) || f.Interface != nil && strings.Contains(fmt.Sprint(f.Interface), text) {
					return true
				}
			}
		}
		return false
	}
	nettest.Eventually(t, 5*time.Second, "word of the route that wins", func() bool { return said("1 routes of others win over ours") })
	nettest.Eventually(t, 5*time.Second, "word of the way back that is taken", func() bool { return said("the place is taken by ::/0") })
	left := c.fip.IP("-6", "route", "show", "table", "110")
	if !strings.Contains(left, "unreachable default") {
		t.Errorf("table 110 after us: %s", left)
	}
}
