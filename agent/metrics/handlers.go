package metrics

import (
	"net/http"
	"net/http/pprof" // #nosec G108 -- it registers itself with the default server's paths, and there is no such server here
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// What one scrape may take, and how many may be made at a time.
const (
	scrapeLimit = 3 * time.Second
	scrapes     = 2
)

// Handlers answer GET /metrics, /healthz and /readyz, by a pattern of [http.ServeMux].
func (m *Metrics) Handlers(h Health, log *zap.Logger) map[string]http.Handler {
	errorLog, err := zap.NewStdLogAt(log, zap.WarnLevel)
	if err != nil {
		errorLog = zap.NewStdLog(log)
	}
	return map[string]http.Handler{
		"GET /metrics": promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
			ErrorLog: errorLog, ErrorHandling: promhttp.ContinueOnError, // one that fails hides no other
			MaxRequestsInFlight: scrapes, Timeout: scrapeLimit,
			DisableCompression: true, // it is read on this machine, and costs less so
		}),
		"GET /healthz": http.HandlerFunc(h.healthz),
		"GET /readyz":  http.HandlerFunc(h.readyz),
	}
}

// Profiles answer below GET /debug/pprof/. They show function names and the command
// line, and who asks may slow the daemon down: for the control socket only. A profile
// of some seconds extends the server's time for writing by itself.
func Profiles() map[string]http.Handler {
	return map[string]http.Handler{
		"GET /debug/pprof/":        http.HandlerFunc(pprof.Index),
		"GET /debug/pprof/cmdline": http.HandlerFunc(pprof.Cmdline),
		"GET /debug/pprof/profile": http.HandlerFunc(pprof.Profile),
		"GET /debug/pprof/symbol":  http.HandlerFunc(pprof.Symbol),
		"GET /debug/pprof/trace":   http.HandlerFunc(pprof.Trace),
	}
}
