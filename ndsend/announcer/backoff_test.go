package announcer

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/ndsend"
)

func TestBackoff(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name   string
		random float64
		err    error
		want   []time.Duration
	}{
		{"longest", 1, nil, []time.Duration{100 * ms, 200 * ms, 400 * ms, 500 * ms, 500 * ms}},
		{"shortest", 0, nil, []time.Duration{50 * ms, 100 * ms, 200 * ms, 250 * ms, 250 * ms}},
		{"between", 0.5, nil, []time.Duration{75 * ms, 150 * ms, 300 * ms, 375 * ms, 375 * ms}},
		{"congested", 1, ndsend.ErrCongested, []time.Duration{5 * ms, 10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 500 * ms}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := backoff{limit: 500 * ms, random: func() float64 { return c.random }}
			for range 2 {
				var got []time.Duration
				for range c.want {
					got = append(got, b.pause(c.err))
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("pauses (-want +got):\n%s", diff)
				}
				b.reset()
			}
		})
	}
}
