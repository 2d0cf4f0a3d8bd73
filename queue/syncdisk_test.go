package queue_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/storetest"
)

// A synchronous raise is not told what became of an event before it. One that was not
// confirmed gets into the list while this one is being written, and is handed out first.
func TestSyncRaiseIsToldOfItsOwnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribeSync("a")
		r.raiseUnconfirmed()
		result := r.raiseMeanwhile()
		if ids, _ := r.take("a", queue.Delivered); len(ids) != 2 {
			t.Errorf("taken %d, want 2", len(ids))
		}
		if err := <-result; err == nil {
			t.Error("it is told that the one before it was delivered")
		}
		r.stop()
	})
}

// A synchronous raise does not wait for who expires while the event is being written: it
// never gets the event.
func TestSyncRaiseDoesNotWaitForWhoExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribeSync("a")
		r.subscribeSync("b")
		release := r.hold(storetest.None)
		result := r.raiseMeanwhile()
		r.must(r.CloseSub("E_X", "a", evid.Expired))
		release()
		r.take("b", queue.Delivered)
		synctest.Wait()
		select {
		case err := <-result:
			if err == nil {
				t.Error("it is told that all got it")
			}
		default:
			t.Error("it waits")
		}
		r.stop()
	})
}

// After a synchronous raise has failed nobody waits any more, also where the subscriber is
// not synchronous by then: its next event would be attempted only once.
func TestNobodyWaitsAfterFailedSyncRaise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribeSync("a")
		release := r.hold(storetest.Refused)
		result := r.raiseMeanwhile()
		r.subscribe("a", evid.Never)
		release()
		if err := <-result; err == nil {
			t.Error("raise: no error")
		}
		r.raise(1)
		if _, batch := r.reader("a").next(1); batch.Events != 1 || batch.Sync {
			t.Errorf("handed out: %d, synchronous: %t", batch.Events, batch.Sync)
		}
		r.stop()
	})
}

// What was not confirmed and is kept is delivered once the store is well, though nobody
// raises any more: it was the next raise that found it.
func TestUnconfirmedIsDeliveredWithoutRaise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("a", evid.Never)
		r.raiseUnconfirmed()
		time.Sleep(time.Minute)
		if ids, _ := r.take("a", queue.Delivered); len(ids) != 1 {
			t.Errorf("taken %d, want 1", len(ids))
		}
		r.stop()
	})
}
