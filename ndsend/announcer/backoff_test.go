package announcer

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBackoff(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name   string
		random float64
		want   []time.Duration
	}{
		{"longest", 1, []time.Duration{100 * ms, 200 * ms, 400 * ms, 500 * ms, 500 * ms}},
		{"shortest", 0, []time.Duration{50 * ms, 100 * ms, 200 * ms, 250 * ms, 250 * ms}},
		{"between", 0.5, []time.Duration{75 * ms, 150 * ms, 300 * ms, 375 * ms, 375 * ms}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := backoff{limit: 500 * ms, random: func() float64 { return c.random }}
			for range 2 {
				var got []time.Duration
				for range c.want {
					got = append(got, b.pause())
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("pauses (-want +got):\n%s", diff)
				}
				b.reset()
			}
		})
	}
}
