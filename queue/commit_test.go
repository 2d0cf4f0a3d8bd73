package queue_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/storetest"
)

// Raisers who share a write, however many, all hear what became of their own event.
func TestSharedWrites(t *testing.T) {
	for _, raisers := range []int{1, 2, 16, 17, 32, 33, 255, 256, 257, 600} {
		for _, fault := range []storetest.Fault{storetest.None, storetest.Refused} {
			t.Run(fmt.Sprintf("%d raisers, fault %d", raisers, fault), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testSharedWrite(t, raisers, fault) })
			})
		}
	}
}

func testSharedWrite(t *testing.T, raisers int, fault storetest.Fault) {
	r := newDiskRig(t)
	r.start()
	r.subscribe("a", evid.Never)
	r.subscribeTo("E_LEFT", "a")
	release := r.hold(fault)
	first := r.raiseMeanwhile()
	var kept, left, failed atomic.Int64
	for i := range raisers {
		event := [...]string{"E_X", "E_X", "E_LEFT"}[i%3]
		go func() {
			switch got, err := r.Accept(t.Context(), &evid.Event{Name: event}); {
			case errors.Is(err, storetest.ErrRefused):
				failed.Add(1)
			case err != nil || got != (event == "E_X"):
				t.Errorf("raise %s: %t, %v", event, got, err)
			case got:
				kept.Add(1)
			default:
				left.Add(1)
			}
		}()
	}
	synctest.Wait() // the first is being written
	r.must(r.CloseSub("E_LEFT", "a", evid.Unsubscribed))
	release()
	synctest.Wait()
	err := <-first
	wantLeft, wantFailed := int64(raisers/3), int64(0)
	if fault == storetest.Refused {
		wantLeft, wantFailed = 0, int64(raisers)
	}
	if wantKept := int64(raisers) - wantLeft - wantFailed; errors.Is(err, storetest.ErrRefused) != (fault != storetest.None) ||
		kept.Load() != wantKept || left.Load() != wantLeft || failed.Load() != wantFailed {
		t.Errorf("first: %v; kept %d, nobody was left for %d, failed %d; want %d, %d, %d",
			err, kept.Load(), left.Load(), failed.Load(), wantKept, wantLeft, wantFailed)
	}
	if ids, _ := r.take("a", queue.Delivered); fault == storetest.None && len(ids) != raisers-raisers/3+1 {
		t.Errorf("delivered %d, want %d", len(ids), raisers-raisers/3+1)
	}
	r.stop()
}
