//go:build lab

package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
)

// topicL3 is the queue that only the real L3 agent may consume from.
const topicL3 = "l3_agent." + lab.Host

// TestTap: the real L3 agent misses no message while we listen, and the server never logs a lost push
// because of us. Both sides are counted: what the broker was given, what each queue delivered, what
// the L3 agent says it got, and what the API was asked to do.
func TestTap(t *testing.T) {
	w := setup(t)
	d := w.daemon(lab.DaemonConfig{})
	w.reachable(5 * time.Second)

	server, err := w.lab.MarkLog("neutron-server")
	w.must(err)
	l3, err := w.lab.MarkLog("l3-agent")
	w.must(err)
	hose, err := w.lab.StartFirehose(w.ctx)
	w.must(err)
	w.finally(hose.Stop)

	pushes, updates := 0, 0
	// one round of everything that the server tells agents; at its end the proxy is published
	round := func(name string) {
		t.Log("round:", name)
		for i := range 3 {
			w.must(w.cloud.UpdateRouter(w.ctx, lab.Fields{"description": fmt.Sprint(name, i, time.Now())}))
			updates++
		}
		w.must(w.cloud.Unpublish(w.ctx, w.inst))
		_, err := w.cloud.Publish(w.ctx, w.inst)
		w.must(err)
		pushes += 2
	}
	listening := func() int { return len(hose.Messages(isTopic)) }

	round("daemon running")
	w.reachable(10 * time.Second)
	w.must(w.cloud.RemoveFromAgent(w.ctx))
	w.unreachable(agentTime)
	w.must(w.cloud.AddToAgent(w.ctx)) // a call: the L3 agent answers it, we must not
	w.reachable(agentTime)
	w.must(hose.Flush(w.within(10 * time.Second)))
	heard := listening()

	w.must(d.Stop(w.ctx))
	round("daemon stopped")
	d = w.daemon(lab.DaemonConfig{})
	round("daemon running again")
	w.must(d.Kill())
	round("daemon killed")
	d = w.daemon(lab.DaemonConfig{})
	round("daemon running at last")
	w.reachable(10 * time.Second)
	w.must(d.Stop(w.ctx))
	// the next pushes after our end are the ones that a vanished exchange would lose
	round("daemon gone")

	w.must(hose.Flush(w.within(10 * time.Second)))
	t.Logf("%d messages to %s in all, %d in the first round", listening(), topicL3, heard)
	w.checkDeliveries(hose)
	w.checkCounts(hose, l3, updates, pushes)
	// a push to an exchange that is gone ends in "(404) NOT_FOUND - no exchange" at level ERROR
	lost, err := server.Lines(regexp.MustCompile(`NOT_FOUND| ERROR | CRITICAL `))
	w.must(err)
	// A daemon that was killed a minute ago, by the test before, left a question: the
	// server gives its answer up now.
	unasked := regexp.MustCompile(`The reply \w+ failed to send after \d+ seconds due to a missing queue \(reply_\w+\)`)
	for _, line := range lost {
		if !unasked.MatchString(line) {
			t.Errorf("server log: %s", line)
		}
	}
}

// updatesHeard is the number of router updates in the three rounds in which the daemon runs.
const updatesHeard = 9

// isTopic accepts messages that the server sent to this host's L3 agent by topic.
func isTopic(m lab.Traced) bool {
	return m.Event == "publish" && m.Exchange == "neutron" && len(m.RoutingKeys) > 0 && m.RoutingKeys[0] == topicL3
}

// isPush accepts pushes of NDP proxies.
func isPush(m lab.Traced) bool {
	return m.Event == "publish" && strings.HasPrefix(m.Exchange, "neutron-vo-NDPProxy-")
}

// checkDeliveries: each message for the L3 agent was delivered to it once, and calls were answered once.
func (w *world) checkDeliveries(hose *lab.Firehose) {
	w.Helper()
	delivered := map[string]int{}
	for _, m := range hose.Messages(func(m lab.Traced) bool { return m.Event == "deliver" && m.Queue == topicL3 }) {
		delivered[m.UniqueID]++
	}
	calls := 0
	for _, m := range hose.Messages(isTopic) {
		if n := delivered[m.UniqueID]; n != 1 {
			w.Errorf("%s (%s) was delivered to the L3 agent %d times", m.Method, m.UniqueID, n)
		}
		if m.MsgID == "" {
			continue
		}
		calls++
		replies := hose.Messages(func(r lab.Traced) bool {
			return r.Event == "publish" && r.MsgID == m.MsgID && r.Method == ""
		})
		if len(replies) != 1 {
			w.Errorf("the call %s (%s) was answered %d times", m.Method, m.MsgID, len(replies))
		}
	}
	if calls == 0 {
		w.Error("no call to the L3 agent was seen: the test proves too little")
	}
}

// checkCounts: the API's requests, the server's messages, our copies and the L3 agent's own words agree.
func (w *world) checkCounts(hose *lab.Firehose, l3 lab.LogMark, updates, pushes int) {
	w.Helper()
	var sent, added, ours int
	for _, m := range hose.Messages(isTopic) {
		switch m.Method {
		case "routers_updated":
			sent++
		case "router_added_to_agent":
			added++ // the L3 agent handles it as an update, and says so in the same words
		}
	}
	for _, m := range hose.Messages(func(m lab.Traced) bool {
		return m.Event == "deliver" && m.Queue != topicL3 && m.Method == "routers_updated"
	}) {
		if m.Queue != "l3_agent" && !strings.HasPrefix(m.Queue, "l3_agent_fanout") {
			ours++
		}
	}
	notified, err := l3.Lines(regexp.MustCompile("Got routers updated notification"))
	w.must(err)
	pushed := len(hose.Messages(isPush))
	w.Logf("updates asked %d, routers_updated sent %d, L3 agent got %d, our queue delivered %d; pushes due %d, made %d",
		updates, sent, len(notified), ours, pushes, pushed)
	if sent < updates {
		w.Errorf("%d router updates, but %d routers_updated sent", updates, sent)
	}
	if len(notified) != sent+added {
		w.Errorf("%d routers_updated and %d router_added_to_agent sent, the L3 agent got %d", sent, added, len(notified))
	}
	if ours < updatesHeard {
		w.Errorf("our queue delivered %d updates, want at least the %d made while the daemon ran: the test proves nothing about listening", ours, updatesHeard)
	}
	// a push that fails (exchange gone) is never seen by the broker
	if pushed != pushes {
		w.Errorf("%d NDP proxies created or deleted, but %d pushes reached the broker", pushes, pushed)
	}
}
