package reconcile_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"neutron-ndp-proxy-agent/agent/reconcile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func noJitter() float64 { return 0 }

func newQueue() *reconcile.Queue {
	return reconcile.NewQueue(reconcile.Backoff{Min: 2 * time.Second, Max: 10 * time.Second, Jitter: noJitter})
}

func get(t *testing.T, q *reconcile.Queue) reconcile.Item {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	item, ok := q.Get(ctx)
	if !ok {
		t.Fatal("nothing came from the queue")
	}
	return item
}

func TestManyEventsAreOneLook(t *testing.T) {
	q := newQueue()
	defer q.Close()
	q.Add("a", false)
	q.Add("b", false)
	q.Add("a", false)
	for _, want := range []string{"a", "b"} {
		if got := get(t, q); got.Key != want || got.Deep {
			t.Fatalf("item %+v, want %s, not deep", got, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if got, ok := q.Get(ctx); ok {
		t.Fatalf("a third item: %+v", got)
	}
}

// An audit asks for everything at once; what happens meanwhile is not behind it.
func TestAnEventGoesBeforeTheAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		defer q.Close()
		for _, key := range []string{"a", "b", "c"} {
			q.Add(key, true)
		}
		time.Sleep(time.Second)
		happened := time.Now()
		q.Add("c", false)
		q.Add("d", false)
		first := get(t, q)
		if first.Key != "c" || first.Deep || !first.Since.Equal(happened) {
			t.Fatalf("first item %+v, want c, not deep", first)
		}
		q.Done(first)
		var got string
		for range 4 {
			item := get(t, q)
			got += item.Key
			if item.Deep {
				got += "+"
			}
			q.Done(item)
		}
		if got != "da+b+c+" {
			t.Fatalf("then %s, want da+b+c+", got)
		}
		if !q.Idle() {
			t.Error("something is left")
		}
	})
}

// A key whose events don't end keeps no audit from being made, neither of
// another key nor its own.
func TestEventsWithoutEnd(t *testing.T) {
	q := newQueue()
	defer q.Close()
	q.Add("busy", false)
	for _, want := range []string{"other", "busy"} {
		q.Add(want, true)
		for looks := 0; ; looks++ {
			item := get(t, q)
			if looks > 100 {
				t.Fatalf("%d looks at busy, and the deep one at %s was never taken", looks, want)
			}
			q.Add("busy", false) // another event during the look
			q.Done(item)
			if item.Deep {
				if item.Key != want || looks < 10 {
					t.Errorf("%+v after %d looks, want %s, and not at once", item, looks, want)
				}
				break
			}
		}
	}
}

// A key in both lanes runs once at a time, and its deep look is not lost.
func TestAKeyInBothLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		defer q.Close()
		q.Add("a", true)
		q.Add("a", false)
		quick := get(t, q)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if item, ok := q.Get(ctx); ok {
			t.Fatalf("%+v runs beside %+v", item, quick)
		}
		q.Done(quick)
		if item := get(t, q); !item.Deep {
			t.Fatalf("%+v: the deep look was lost", item)
		}
	})
}

// A failed deep look is still owed after an event overtook its retry.
func TestAnEventOvertakesADeepRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		defer q.Close()
		q.Add("a", true)
		q.Retry(get(t, q))
		start := time.Now()
		q.Add("a", false)
		for _, deep := range []bool{false, true} {
			item := get(t, q)
			if item.Deep != deep || time.Since(start) != 0 {
				t.Fatalf("%+v after %v, want deep %v at once", item, time.Since(start), deep)
			}
			q.Done(item)
		}
	})
}

func TestAnEventDuringTheWorkMeansAnotherLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.Add("a", false)
		item := get(t, q)
		q.Add("a", true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if again, ok := q.Get(ctx); ok {
			t.Fatalf("%+v runs twice at a time", again)
		}
		q.Done(item)
		if again := get(t, q); !again.Deep {
			t.Fatalf("second look %+v lost what the event asked for", again)
		}
		q.Close()
	})
}

func TestFailuresComeBackLaterAndLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.Add("a", true)
		item := get(t, q)
		for _, want := range []time.Duration{1, 2, 4, 5, 5} {
			start := time.Now()
			q.Retry(item)
			item = get(t, q)
			if waited := time.Since(start); waited != want*time.Second {
				t.Errorf("came back after %v, want %vs", waited, int(want))
			}
			if !item.Deep {
				t.Error("the retry forgot to look deep")
			}
		}
		q.Done(item)
		q.Add("a", false)
		item = get(t, q)
		if item.Failures != 0 {
			t.Errorf("%d failures after a success", item.Failures)
		}
		q.Close()
	})
}

func TestAnEventOvertakesARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		q.Add("a", false)
		q.Retry(get(t, q))
		start := time.Now()
		q.Add("a", false)
		item := get(t, q)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("waited %v for an event", waited)
		}
		q.Done(item)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if again, ok := q.Get(ctx); ok {
			t.Errorf("the overtaken retry came too: %+v", again)
		}
		q.Close()
	})
}

func TestCloseEndsWaits(t *testing.T) {
	q := newQueue()
	done := make(chan bool)
	go func() {
		_, ok := q.Get(context.Background())
		done <- ok
	}()
	q.Add("a", false)
	if ok := <-done; !ok {
		t.Fatal("no item")
	}
	go func() {
		_, ok := q.Get(context.Background())
		done <- ok
	}()
	q.Close()
	if ok := <-done; ok {
		t.Fatal("an item from a closed queue")
	}
	q.Add("b", false)
	q.Done(reconcile.Item{Key: "a"})
	if _, ok := q.Get(context.Background()); ok {
		t.Fatal("an item that was added to a closed queue")
	}
}

func TestStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := reconcile.NewQueue(reconcile.Backoff{Min: time.Second, Max: time.Second, Jitter: func() float64 { return 0 }})
		defer q.Close()
		want := func(want time.Duration, when string) {
			t.Helper()
			if got := q.Stalled(); got != want {
				t.Errorf("%s: stalled for %v, want %v", when, got, want)
			}
		}
		time.Sleep(time.Minute)
		want(0, "nothing to do")
		q.Add("a", false)
		time.Sleep(time.Second)
		q.Add("b", true)
		time.Sleep(time.Second)
		want(2*time.Second, "nobody takes any")
		a, _ := q.Get(t.Context())
		want(0, "one was taken")
		time.Sleep(time.Second)
		want(time.Second, "the other waits")
		b, _ := q.Get(t.Context())
		time.Sleep(time.Minute)
		want(0, "both run")
		q.Add("a", false)
		time.Sleep(time.Minute)
		want(0, "what runs is wanted again")
		q.Done(a)
		q.Retry(b)
		if a, _ = q.Get(t.Context()); a.Key != "a" {
			t.Fatalf("got %+v", a)
		}
		q.Done(a)
		want(0, "a retry is to come")
	})
}
