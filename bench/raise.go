package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/evid/evid"
)

// A raiseCost is what one raise takes its caller.
type raiseCost struct {
	Nanoseconds float64
	Allocs      float64
}

// What is subscribed when a raise is measured: so many subscribers that are behind, or
// one that waits for work.
const wake = "wake"

// raiseCosts measures raises beside subscribers that are no servers: what they would use
// of the processors is no part of it.
func raiseCosts(task) (result, error) {
	r := result{Raises: make(map[string]raiseCost)}
	for _, n := range []int{1, 100, 10_000} {
		cost, err := raiseToBusy(n)
		if err != nil {
			return r, err
		}
		r.Raises[fmt.Sprint(n)] = cost
	}
	cost, err := raiseToWaiting()
	r.Raises[wake] = cost
	return r, err
}

// raiseToBusy measures a raise to n subscribers that are all behind.
func raiseToBusy(n int) (raiseCost, error) {
	notifier := assemble(1024, []evid.Transport{stubTransport{holds: true}})
	defer notifier.close()
	for i := range n {
		if err := notifier.events.Subscribe("E_PIKE_BLOCKED", fmt.Sprintf("stub:%d", i), time.Hour); err != nil {
			return raiseCost{}, err
		}
	}
	var failed error
	b := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := notifier.raise("E_PIKE_BLOCKED"); err != nil {
				failed = err
			}
		}
	})
	return raiseCost{float64(b.T.Nanoseconds()) / float64(b.N), float64(b.AllocsPerOp())}, failed
}

// raiseToWaiting measures raises to one subscriber that has nothing to do, so that a
// worker must be woken, or started. The time is the median of single raises: the woken
// one may take the processor from the raiser.
func raiseToWaiting() (raiseCost, error) {
	notifier := assemble(1024, []evid.Transport{stubTransport{}})
	defer notifier.close()
	if err := notifier.events.Subscribe("E_PIKE_BLOCKED", "stub:0", time.Hour); err != nil {
		return raiseCost{}, err
	}
	var took []time.Duration
	for range 1000 {
		began := time.Now()
		if err := notifier.raise("E_PIKE_BLOCKED"); err != nil {
			return raiseCost{}, err
		}
		took = append(took, time.Since(began))
		time.Sleep(time.Millisecond) // the worker has nothing to do then, and the processors sleep
		if notifier.queue.Totals().Waiting > 0 {
			time.Sleep(100 * time.Millisecond)
		}
	}
	if waiting := notifier.queue.Totals().Waiting; waiting > 0 {
		return raiseCost{}, fmt.Errorf("raise to one that waits: %d events are not delivered", waiting)
	}
	slices.Sort(took)
	return raiseCost{Nanoseconds: float64(percentile(took, 0.5).Nanoseconds())}, nil
}

// A stubTransport delivers to nobody.
type stubTransport struct {
	holds bool // its lanes deliver nothing until they are closed
}

// Scheme implements [evid.Transport].
func (stubTransport) Scheme() string { return "stub" }

// Parse implements [evid.Transport].
func (stubTransport) Parse(addr string) (evid.Socket, error) {
	if addr == "" {
		return nil, errors.New("expected stub:name")
	}
	return stubSocket(addr), nil
}

// Lane implements [evid.Transport].
func (stubTransport) Lane(s evid.Socket) string { return s.Key() }

// Open implements [evid.Transport].
func (t stubTransport) Open(evid.Socket) evid.Lane {
	return &stubLane{holds: t.holds, closed: make(chan struct{})}
}

type stubSocket string

// Key implements [evid.Socket].
func (s stubSocket) Key() string { return "stub:" + string(s) }

// String implements [evid.Socket].
func (s stubSocket) String() string { return s.Key() }

type stubLane struct {
	holds  bool
	once   sync.Once
	closed chan struct{}
}

// Deliver implements [evid.Lane].
func (l *stubLane) Deliver(batch []evid.Item) {
	if l.holds {
		<-l.closed
		return
	}
	for i := range batch {
		batch[i].Result = evid.Result{Verdict: evid.Delivered, Answered: true, Sent: true}
	}
}

// Idle implements [evid.Lane].
func (*stubLane) Idle() (keep bool) { return false }

// Close implements [evid.Lane].
func (l *stubLane) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}
