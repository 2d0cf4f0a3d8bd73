package queue

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid"
)

// raiseInBackground raises an event, and sends what became of it.
func (r *rig) raiseInBackground(ctx context.Context) <-chan error {
	result := make(chan error, 1)
	go func() {
		kept, err := r.Accept(ctx, &evid.Event{Name: "E_X"})
		if !kept {
			r.t.Errorf("Accept = false, %v", err)
		}
		result <- err
	}()
	synctest.Wait()
	return result
}

// checkResult checks what became of a raise: empty means that it went well.
func checkResult(t *testing.T, result <-chan error, want string) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-result:
		if got := text(err); got != want {
			t.Errorf("Accept: %q, want %q", got, want)
		}
	default:
		t.Errorf("the raise waits, want %q", want)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func checkWaits(t *testing.T, result <-chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-result:
		t.Fatalf("the raise did not wait: %v", err)
	default:
	}
}

// A raise waits for the synchronous subscribers, and learns what became of it.
func TestSync(t *testing.T) {
	for _, test := range []struct {
		name string
		fate Fate
		want string
	}{
		{"delivered", Delivered, ""},
		{"given up", Dead, `subscriber "sync": refused`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, DefaultParams())
				other := r.open("other")
				reader := r.openSync("sync")
				result := r.raiseInBackground(t.Context())
				checkWaits(t, result)
				if !other.woken || !reader.woken {
					t.Fatal("not all were woken")
				}
				kept, err := r.Accept(t.Context(), &evid.Event{Name: "E_X"})
				if kept || text(err) != `subscriber "sync": events wait before it: 1` {
					t.Errorf("second raise: %t, %v", kept, err)
				}
				if batch := other.next(8); batch.Sync || batch.Events != 1 {
					t.Errorf("Next of the other = %+v", batch)
				}
				other.done(Delivered)
				for range 2 { // it comes again as long as it was not attempted
					if batch := reader.next(8); !batch.Sync || batch.Events != 1 {
						t.Errorf("Next = %+v, want one synchronous event", batch)
					}
					checkWaits(t, result)
					if left := reader.done(Waits); left != ARaise {
						t.Errorf("Done = %d, want %d", left, ARaise)
					}
				}
				reader.next(8)
				reader.done(test.fate)
				checkResult(t, result, test.want)
			})
		})
	}
}

func TestSyncToSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, DefaultParams())
		a, b := r.openSync("a"), r.openSync("b")
		result := r.raiseInBackground(t.Context())
		a.next(1)
		a.done(Dead)
		checkWaits(t, result)
		b.next(1)
		b.done(Dead)
		checkResult(t, result, "subscriber \"a\": refused\nsubscriber \"b\": refused")
	})
}

// An event for which a raiser waits is handed out alone, and before what is to be
// replayed.
func TestSyncIsHandedOutAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, DefaultParams())
		reader := r.openSync("sync")
		first := r.raiseInBackground(t.Context())
		reader.next(8)
		reader.done(Dead)
		checkResult(t, first, `subscriber "sync": refused`)
		result := r.raiseInBackground(t.Context())
		if replayed, left, _ := r.Replay(evid.DeadLetterFilter{}); replayed != 1 || left != 0 {
			t.Fatalf("Replay = %d, %d, want 1, 0", replayed, left)
		}
		r.open("sync") // not synchronous any more
		r.raise(2)
		for _, want := range []struct {
			sync, replay bool
			seqs         []uint64
		}{{true, false, []uint64{2}}, {false, true, []uint64{1}}, {false, false, []uint64{3, 4}}} {
			batch := reader.next(8)
			if batch.Sync != want.sync || batch.Replay != want.replay || !cmp.Equal(want.seqs, reader.seqs()) {
				t.Errorf("Next = %+v of %d, want %+v", batch, reader.seqs(), want)
			}
			reader.done(delivered(batch.Events)...)
			if want.sync {
				checkResult(t, result, "")
			}
		}
	})
}

// A raise fails while dead letters are in line at the subscriber, or on their way,
// and works when they are done with.
func TestSyncBehindReplays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, DefaultParams())
		reader := r.open("sync")
		r.bury(reader, 3)
		r.openSync("sync")
		r.Replay(evid.DeadLetterFilter{})
		refused := func(want string) {
			t.Helper()
			before := r.Totals()
			if kept, err := r.Accept(t.Context(), &evid.Event{Name: "E_X"}); kept || text(err) != want {
				t.Errorf("Accept = %t, %v, want %q", kept, err, want)
			}
			if after := r.Totals(); after != before {
				t.Errorf("it took the totals from %+v to %+v", before, after)
			}
		}
		refused(`subscriber "sync": events wait before it: 3`)
		reader.next(2)
		refused(`subscriber "sync": events wait before it: 3`)
		reader.done(Delivered, Dead)
		refused(`subscriber "sync": events wait before it: 1`)
		reader.next(2)
		reader.settle(Outcome{Fate: Waits, Retried: true}) // ends the replays
		result := r.raiseInBackground(t.Context())
		if batch := reader.next(8); !batch.Sync || batch.Events != 1 {
			t.Errorf("Next = %+v, want the synchronous event", batch)
		}
		reader.done(Delivered)
		checkResult(t, result, "")
	})
}

// What ends the wait for an attempt besides an attempt.
func TestSyncEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(r *rig, reader *recordedReader, cancel context.CancelFunc)
		want string
	}{
		{
			"unsubscribed", func(r *rig, _ *recordedReader, _ context.CancelFunc) { r.close("sync", evid.Unsubscribed) },
			`subscriber "sync": it unsubscribed`,
		},
		{
			"unsubscribed with the event handed out", func(r *rig, reader *recordedReader, _ context.CancelFunc) {
				reader.next(1)
				r.close("sync", evid.Unsubscribed)
				reader.done(Waits)
			},
			`subscriber "sync": it unsubscribed`,
		},
		{
			"delivered after unsubscribing", func(r *rig, reader *recordedReader, _ context.CancelFunc) {
				reader.next(1)
				r.close("sync", evid.Unsubscribed)
				reader.done(Delivered)
			},
			"",
		},
		{
			"delivered after expiry", func(r *rig, reader *recordedReader, _ context.CancelFunc) {
				r.close("sync", evid.Expired)
				reader.next(1)
				reader.done(Delivered)
			},
			"",
		},
		{
			"dropped", func(r *rig, reader *recordedReader, _ context.CancelFunc) {
				r.open("sync") // not synchronous any more
				r.raise(2)
				reader.next(1)
			},
			`subscriber "sync": the event was dropped: the queue is full`,
		},
		{
			"the raiser has no more time", func(_ *rig, _ *recordedReader, cancel context.CancelFunc) { cancel() },
			"wait for synchronous subscribers: context canceled",
		},
		{
			"closed", func(r *rig, _ *recordedReader, _ context.CancelFunc) { r.Close() },
			"wait for synchronous subscribers: " + evid.ErrClosed.Error(),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, small(2, DropOldest))
				reader := r.openSync("sync")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				result := r.raiseInBackground(ctx)
				checkWaits(t, result)
				test.end(r, reader, cancel)
				checkResult(t, result, test.want)
			})
		})
	}
}

// What a subscriber has lost and does not know of yet is before a raise, too: it
// must not be taken for the event of the raise.
func TestSyncAfterLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, small(1, DropOldest))
		reader := r.open("a")
		r.open("other")
		r.raise(1)
		r.close("a", evid.Expired)
		r.raise(1)
		r.openSync("a")
		kept, err := r.Accept(t.Context(), &evid.Event{Name: "E_X"})
		if kept || text(err) != `subscriber "a": events wait before it: 1` {
			t.Fatalf("Accept = %t, %v, want it to fail", kept, err)
		}
		if batch := reader.next(8); batch.Lost.Count != 1 || batch.Events != 0 {
			t.Errorf("Next = %+v, want one lost", batch)
		}
		result := r.raiseInBackground(t.Context())
		if batch := reader.next(8); !batch.Sync || batch.Events != 1 {
			t.Errorf("Next = %+v, want the synchronous event", batch)
		}
		reader.done(Delivered)
		checkResult(t, result, "")
	})
}

// A raise that is refused leaves nobody waiting: the next one works.
func TestSyncRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, small(1, Reject))
		slow, reader := r.open("slow"), r.openSync("sync")
		result := r.raiseInBackground(t.Context())
		reader.next(1)
		reader.done(Delivered)
		checkResult(t, result, "")
		if kept, err := r.Accept(t.Context(), &evid.Event{Name: "E_X"}); kept || text(err) != evid.ErrQueueFull.Error() {
			t.Errorf("Accept = %t, %v, want ErrQueueFull", kept, err)
		}
		slow.next(1)
		slow.done(Delivered)
		result = r.raiseInBackground(t.Context())
		if batch := reader.next(1); !batch.Sync {
			t.Errorf("Next = %+v, want a synchronous event", batch)
		}
		reader.done(Delivered)
		checkResult(t, result, "")
	})
}
