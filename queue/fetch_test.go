package queue_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/storetest"
)

// What is in memory begins in the middle of a chunk: who is behind finds the first events
// of that chunk on disk.
func TestChunkPartlyInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("a", evid.Never)
		r.subscribe("b", evid.Never)
		release := make(chan struct{})
		r.store.OnAppend(func(queue.Journal, uint64, []byte) storetest.Fault {
			<-release
			return storetest.None
		})
		var raises sync.WaitGroup
		raises.Go(func() { r.raise(1) })
		synctest.Wait()
		for range 5 {
			raises.Go(func() { r.raise(1) }) // one chunk
		}
		synctest.Wait()
		close(release)
		raises.Wait()
		events, _ := r.reader("b").next(4)
		r.reader("b").done(events, slices.Repeat([]queue.Outcome{{Fate: queue.Delivered}}, 4))
		r.LimitMemory(3)
		r.raise(1) // a is behind, and b is where the memory begins
		if ids, lost := r.take("a", queue.Delivered); len(ids) != 7 || lost.Count != 0 {
			t.Errorf("a got %d events, want 7; lost: %d", len(ids), lost.Count)
		}
		if ids, lost := r.take("b", queue.Delivered); len(ids) != 3 || lost.Count != 0 {
			t.Errorf("b got %d events, want 3; lost: %d", len(ids), lost.Count)
		}
		r.stop()
	})
}
