package queue_test

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/storetest"
)

// A sink is a Deliverer that takes nothing.
type sink struct{}

func (sink) Attach(*queue.Cursor, *evid.Subscription) queue.Reader { return new(reader) }
func (sink) Wake([]*queue.Cursor) (kept bool)                      { return false }

// What was acknowledged is there whenever the process is killed, also while very many
// raise and subscribe at the same time.
func TestCrashesWhileBusy(t *testing.T) {
	const lists, raises = 12, 300
	store := storetest.NewMemory()
	q, err := queue.Open(queue.DefaultParams(), sink{}, store, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	subscribe := func(event, key string) {
		if err := q.OpenSub(&evid.Subscription{Event: event, Socket: plainSocket(key), Expire: evid.Never}); err != nil {
			t.Error(err)
		}
	}
	var acked [lists]atomic.Uint64
	var stop atomic.Bool
	var busy, raising sync.WaitGroup
	for i := range lists {
		event := fmt.Sprintf("E_%d", i)
		subscribe(event, "x")
		raising.Go(func() {
			for range raises {
				if kept, err := q.Accept(t.Context(), &evid.Event{Name: event}); !kept || err != nil {
					t.Errorf("raise: %t, %v", kept, err)
					return
				}
				acked[i].Add(1)
			}
		})
	}
	busy.Go(func() { // so that it saves all the time
		for n := 0; !stop.Load(); n++ {
			subscribe("E_SAVED", "y")
			if err := q.CloseSub("E_SAVED", "y", evid.Unsubscribed); err != nil {
				t.Error(err)
			}
		}
	})
	busy.Go(func() {
		raising.Wait()
		stop.Store(true)
	})
	for !stop.Load() {
		var before [lists]uint64
		for i := range before {
			before[i] = acked[i].Load()
		}
		crashed, err := queue.Open(queue.DefaultParams(), sink{}, store.Clone(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		for i := range before {
			counts, ok := crashed.Counts(fmt.Sprintf("E_%d", i), "x")
			if !ok || counts.Waiting < before[i] {
				t.Errorf("list %d: %+v, %d were acknowledged", i, counts, before[i])
			}
		}
		if err := crashed.Close(); err != nil {
			t.Error(err)
		}
	}
	busy.Wait()
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}
