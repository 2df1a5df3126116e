package announcer

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"neutron-ndp-proxy-agent/ndsend"
)

// An operator reads of each trouble once, with the names that matter, and of
// its end; a thousand retries stay silent.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.InfoLevel)
		w := newWire()
		a := w.on(t, func(o *Options) { o.Logger = zap.New(core) })
		w.set(gateway, notReady())
		a.Owe(gateway, addr(1))
		time.Sleep(time.Minute)
		w.set(gateway, ndsend.ErrFiltered)
		time.Sleep(time.Minute)
		w.set(gateway, nil)
		a.Kick(gateway)
		time.Sleep(time.Second)
		w.set(gateway, ndsend.ErrNoInterface)
		a.Owe(gateway, addr(2), addr(0))
		time.Sleep(2 * time.Minute)

		var got []string
		for _, e := range logs.All() {
			fields := e.ContextMap()
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s/%s: %s: %v %v", e.Level,
				fields["namespace"], fields["device"], e.Message, fields["owed"], fields["error"])))
		}
		want := []string{
			"info qrouter-1/qg-1: cannot announce yet, will retry: 1 interface qg-1: its source address is still tentative (duplicate address detection)",
			"warn qrouter-1/qg-1: cannot announce yet, will retry: 1 a local packet filter dropped the advertisement",
			"info qrouter-1/qg-1: announced after waiting: 0 <nil>",
			"info qrouter-1/qg-1: cannot announce yet, will retry: 2 no such interface",
			"warn qrouter-1/qg-1: gave up announcing: the device stayed away: <nil> no such interface",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
	})
}
