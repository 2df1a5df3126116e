package metrics

import (
	"net/http"
	"strings"
)

// Health is whether the daemon is alive and ready. All functions return at once.
type Health struct {
	// Overdue names what is stuck.
	Overdue func() []string
	// Ready is closed once what the first full sync named was applied.
	Ready <-chan struct{}
	// Link is what is wrong with the link to the broker, "" if messages flow.
	Link func() string
}

// Unready says why the daemon is not ready, in the order of what to look at first;
// nothing: it is.
func (h Health) Unready() []string {
	var why []string
	for _, what := range h.Overdue() {
		why = append(why, "stuck: "+what)
	}
	if link := h.Link(); link != "" {
		why = append(why, link)
	}
	select {
	case <-h.Ready:
	default:
		why = append(why, "what the first full sync names is not applied yet")
	}
	return why
}

// healthz is 200 while nothing is stuck.
func (h Health) healthz(w http.ResponseWriter, _ *http.Request) {
	var why []string
	for _, what := range h.Overdue() {
		why = append(why, "stuck: "+what)
	}
	answer(w, why)
}

// readyz is 200 while the daemon is in sync and hears of what changes.
func (h Health) readyz(w http.ResponseWriter, _ *http.Request) { answer(w, h.Unready()) }

// answer says ok, or 503 and why not, one reason a line.
func answer(w http.ResponseWriter, why []string) {
	text := "ok"
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if len(why) > 0 {
		text = strings.Join(why, "\n")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write([]byte(text + "\n")) // who asked may be gone
}
