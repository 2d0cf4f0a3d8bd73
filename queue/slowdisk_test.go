package queue_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/storetest"
)

// A disk that hangs when it is read does not hold up saves for long: looking for what is
// beyond max_events reads at many places, and gives up at the first that fails.
func TestTrimDoesNotHoldUpSaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.params.MaxEvents = 1000
		r.start()
		r.subscribe("a", evid.Never)
		r.raise(1000)
		saved()
		r.hang()
		r.raise(1000) // more than there can be
		time.Sleep(2 * time.Second)
		began := time.Now()
		r.subscribe("b", evid.Never)
		if waited := time.Since(began); waited == 0 || waited > 5*time.Second {
			t.Errorf("subscribing took %v, want no more than one read", waited)
		}
		r.store.OnRead(nil)
		time.Sleep(10 * time.Second) // nothing reads any more
		r.stop()
	})
}

// With fewer events than max_events nothing is read to find that out.
func TestTrimReadsNothingBelowLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.params.MaxEvents = 1000
		r.start()
		r.subscribe("a", evid.Never)
		r.raise(500)
		saved()
		reads := 0
		r.store.OnRead(func(queue.Journal, uint64) error { reads++; return nil })
		saved()
		if reads != 0 {
			t.Errorf("%d reads", reads)
		}
		r.stop()
	})
}

// One who delivers to very many that are behind is not held up by each of them while the
// disk hangs: one of them waits to read in vain, and the others do not.
func TestHangingDiskHoldsUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.LimitMemory(10)
		const subscribers = 50
		key := func(i int) string { return fmt.Sprint("x:", i) }
		for i := range subscribers {
			r.subscribe(key(i), evid.Never)
		}
		r.raise(100)
		r.hang()
		for i := range 2 {
			go r.take(key(i), queue.Delivered)
		}
		synctest.Wait()
		began := time.Now()
		for i := 2; i < subscribers; i++ {
			r.take(key(i), queue.Delivered)
		}
		if waited := time.Since(began); waited > 500*time.Millisecond {
			t.Errorf("held up for %v", waited)
		}
		time.Sleep(10 * time.Second)
		r.store.OnRead(nil)
		saved()
		for i := range subscribers {
			if ids, lost := r.take(key(i), queue.Delivered); len(ids) != 100 || lost.Count != 0 {
				t.Errorf("%s: taken %d, lost %d", key(i), len(ids), lost.Count)
			}
		}
		r.stop()
	})
}

// Closing does not wait for a disk that hangs. It says that it is not known what is saved.
func TestCloseDoesNotWaitForHangingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("a", evid.Never)
		r.raise(1)
		r.store.OnAppend(func(queue.Journal, uint64, []byte) storetest.Fault {
			time.Sleep(time.Minute)
			return storetest.Lost
		})
		r.take("a", queue.Delivered)
		result := r.raiseMeanwhile()
		began := time.Now()
		err := r.Close()
		if waited := time.Since(began); waited > 5*time.Second || !errors.Is(err, queue.ErrUnconfirmed) {
			t.Errorf("close: %v after %v", err, waited)
		}
		if err := <-result; err == nil {
			t.Error("raise: no error")
		}
		time.Sleep(2 * time.Minute) // nothing is left running
	})
}

// Subscribers of very many names that are behind share what is read, though the events of
// each are far apart. With a read for each event they would never catch up.
func TestManyNamesShareReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		const names, each = 100, 20
		name := func(i int) string { return fmt.Sprint("E_", i) }
		for i := range names {
			r.subscribeTo(name(i), "a")
		}
		for range each {
			for i := range names {
				r.raiseOf(name(i), 1)
			}
		}
		r.stop()
		r.start() // what waits is in the log only
		reads := 0
		r.store.OnRead(func(queue.Journal, uint64) error { reads++; return nil })
		for i := range names {
			if ids, _ := takeAll(r.courier.readers[name(i)+" a"], queue.Delivered); len(ids) != each {
				t.Errorf("%s: taken %d, want %d", name(i), len(ids), each)
			}
		}
		if reads > names*each/4 {
			t.Errorf("%d reads of %d chunks", reads, names*each)
		}
		r.stop()
	})
}
