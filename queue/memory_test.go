package queue_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
)

// A list keeps few marks where nobody is behind, however long others are away: who keeps
// up needs none, and there can be very many names.
func TestMarksOfWhoKeepsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("away", evid.Never)
		r.raise(1)
		const names, times = 40, 50
		name := func(i int) string { return fmt.Sprint("E_", i) }
		for i := range names {
			r.subscribeTo(name(i), "a")
		}
		for range times {
			for i := range names {
				r.raiseOf(name(i), 1)
				takeAll(r.courier.readers[name(i)+" a"], queue.Delivered)
			}
		}
		for i := range names {
			if n := r.Marks(name(i)); n > 2 {
				t.Errorf("%s has %d marks", name(i), n)
			}
		}
		r.stop()
	})
}

// When all lists together have as much in memory as they may, each keeps its newest event
// at most. The others are read, and none is lost.
func TestMemoryOfAllLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("a", evid.Never)
		r.raise(50)
		r.FillMemory()
		r.raise(50)
		if n := r.InMemory("E_X"); n > 1 {
			t.Errorf("%d events in memory, want at most 1", n)
		}
		if ids, lost := r.take("a", queue.Delivered); len(ids) != 100 || lost.Count != 0 {
			t.Errorf("taken %d, lost %d", len(ids), lost.Count)
		}
		r.stop()
	})
}
