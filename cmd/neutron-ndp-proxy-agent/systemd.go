package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent"
	"neutron-ndp-proxy-agent/agent/pulse"
)

const (
	// turnLimit is how long a loop may take for one turn where systemd does not
	// say (WatchdogSec=).
	turnLimit = time.Minute
	// statusEvery is how often systemd may hear another STATUS=.
	statusEvery = 5 * time.Second
)

// watchdog returns systemd's WatchdogSec=; on is false where there is none.
func watchdog(log *zap.Logger) (limit time.Duration, on bool) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("WATCHDOG_USEC: no watchdog", zap.Error(err))
	}
	if err != nil || limit <= 0 {
		return turnLimit, false
	}
	return limit, true
}

// herald tells systemd how the daemon is (sd_notify(3)). Without systemd it only
// logs what is stuck.
type herald struct {
	log   *zap.Logger
	loop  *agent.Agent
	pulse *pulse.Monitor
	// link is what there is to say of the link to the broker, "" if it stands.
	link func() string
	// limit is the watchdog's, which is on or not.
	limit    time.Duration
	watchdog bool
	notify   func(state string) (bool, error)

	start  time.Time
	ready  bool
	status string
	// late is what was overdue when it was last asked for.
	late string
	said bool
}

// run tells until the context ends.
func (h *herald) run(ctx context.Context) error {
	h.start = time.Now()
	tick := time.NewTicker(min(h.limit/4, statusEvery))
	defer tick.Stop()
	ready := h.loop.Ready()
	for {
		h.beat()
		select {
		case <-ctx.Done():
			h.tell(daemon.SdNotifyStopping)
			return nil
		case <-ready:
			ready = nil
			h.becomeReady()
		case <-tick.C:
		}
	}
}

func (h *herald) becomeReady() {
	h.ready = true
	t := h.loop.Totals()
	h.log.Info("ready", zap.Int("routers", t.Routers), zap.Int("proxies", t.Proxies), zap.Int("pending", t.Pending),
		zap.Int("failed", t.Failed), zap.Int("elsewhere", t.Elsewhere), zap.Duration("after", time.Since(h.start)))
	h.status = h.describe("")
	h.tell(daemon.SdNotifyReady + "\nSTATUS=" + h.status)
}

// beat tells that all is well, or what is stuck. It is believed when it is seen
// twice: after a pause of the whole machine everything looks late for a moment.
func (h *herald) beat() {
	stuck := strings.Join(h.pulse.Overdue(), "; ")
	before := h.late
	h.late = stuck
	if status := h.describe(stuck); status != h.status {
		h.status = status
		h.tell("STATUS=" + status)
	}
	switch {
	case stuck == "":
		if h.said {
			h.log.Info("nothing is stuck any more")
		}
		h.said = false
		if h.watchdog {
			h.tell(daemon.SdNotifyWatchdog)
		}
	case before != "" && !h.said:
		h.said = true
		h.log.Error("stuck", zap.String("what", stuck))
		if h.watchdog {
			_ = h.log.Sync() // the line is why; what can't be written now is lost
			// Before READY=1 systemd does not count the time; this it hears always.
			h.tell("WATCHDOG=trigger")
		}
	}
}

// describe is the text of STATUS=.
func (h *herald) describe(stuck string) string {
	t := h.loop.Totals()
	text := "waiting for the first full sync"
	if h.ready {
		text = fmt.Sprintf("in sync: %d routers, %d proxies", t.Routers, t.Proxies)
	}
	for _, n := range []struct {
		count int
		what  string
	}{{t.Pending, "pending"}, {t.Failed, "failed"}} {
		if n.count > 0 {
			text += fmt.Sprintf(", %d %s", n.count, n.what)
		}
	}
	if link := h.link(); link != "" {
		text += "; " + link
	}
	if stuck != "" {
		text += "; stuck: " + stuck
	}
	return text
}

func (h *herald) tell(state string) {
	if _, err := h.notify(state); err != nil {
		h.log.Warn("sd_notify", zap.String("state", state), zap.Error(err))
	}
}
