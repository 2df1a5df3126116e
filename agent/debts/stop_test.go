package debts_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/agent/debts"
	"neutron-ndp-proxy-agent/ndsend/announcer"
)

// Looks as the agent's, on the real engine, stopped at a random moment: each
// namespace still owes two copies then, so each marker must stay.
func TestMarkersOutlastAStop(t *testing.T) {
	for range 50 {
		dir := t.TempDir()
		ctx, stop := context.WithCancel(t.Context())
		var m *debts.Markers
		engine := announcer.New(ctx, announcer.Options{
			Send: func(_ context.Context, _ announcer.Target, addrs []netip.Addr) ([]netip.Addr, error) {
				return addrs, nil
			},
			Settled: func(t announcer.Target) { m.Settled(t.Namespace) },
		})
		m = debts.Open(debts.Options{Dir: dir, Owing: engine.Owing, Log: zap.NewNop()})
		var looks sync.WaitGroup
		var mu sync.Mutex
		var marked []string
		for worker := range 4 {
			looks.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					ns := fmt.Sprintf("ns-%d-%d", worker, i)
					mu.Lock()
					marked = append(marked, ns)
					mu.Unlock()
					m.Begin(ns)
					m.Mark(ns)
					engine.Owe(announcer.Target{Namespace: ns, Device: "qg-1"}, netip.MustParseAddr("2001:db8::1"))
					if ctx.Err() == nil {
						m.End(ns)
					}
				}
			})
		}
		time.Sleep(time.Millisecond + rand.N(3*time.Millisecond))
		stop()
		looks.Wait()
		engine.Close()
		for _, ns := range marked {
			if _, err := os.Stat(filepath.Join(dir, ns)); err != nil {
				t.Fatalf("one of %d markers is gone: %v", len(marked), err)
			}
		}
	}
}
