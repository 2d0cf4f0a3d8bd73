package queue

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid"
)

func open(t *testing.T, q *Queue, rec *recorder, event, key string, sync bool) *recordedReader {
	t.Helper()
	rec.last = nil
	err := q.OpenSub(evid.Subscription{Event: event, Socket: &testSocket{key: key}, Sync: sync})
	if err != nil {
		t.Fatal(err)
	}
	return rec.last
}

func newQueue(p Params) (*Queue, *recorder) {
	rec := &recorder{readers: make(map[*Cursor]*recordedReader)}
	return New(p, rec), rec
}

func TestNobodySubscribed(t *testing.T) {
	q, _ := newQueue(DefaultParams())
	if kept, err := q.Accept(t.Context(), &evid.Event{Name: "E_X"}); kept || err != nil {
		t.Fatalf("Accept = %t, %v, want false, nil", kept, err)
	}
}

func TestBytesAreBounded(t *testing.T) {
	q, rec := newQueue(Params{MaxEvents: 1000, MaxBytes: 1 << 20})
	r := open(t, q, rec, "E_X", "slow", false)
	for range 30 {
		if _, err := q.Accept(t.Context(), &evid.Event{Name: "E_X", Params: []evid.Param{evid.String("", strings.Repeat("x", 100_000))}}); err != nil {
			t.Fatal(err)
		}
	}
	if l := q.find("E_X"); l.ring.bytes > 1<<20 || l.ring.len() != 10 {
		t.Errorf("list holds %d events of %d bytes", l.ring.len(), l.ring.bytes)
	}
	if c, _ := q.Counts("E_X", "slow"); c.Dropped != 20 || c.Waiting != 10 {
		t.Errorf("counts: %+v, want 20 dropped, 10 waiting", c)
	}
	events := make([]*evid.Event, 20)
	if b := r.cursor.Next(events); b.Events != 10 || b.Dropped != 20 || events[0].ID.Seq != 21 {
		t.Errorf("Next = %+v from %v, want 10 from the 21st", b, events[0].ID)
	}
}

func TestClosedQueueRefuses(t *testing.T) {
	q, rec := newQueue(DefaultParams())
	open(t, q, rec, "E_X", "a", false)
	q.Close()
	if kept, err := q.Accept(t.Context(), &evid.Event{Name: "E_X"}); kept || !errors.Is(err, evid.ErrClosed) {
		t.Fatalf("Accept = %t, %v, want ErrClosed", kept, err)
	}
}

// A raise waits for the synchronous subscriber, and learns what became of it.
func TestSync(t *testing.T) {
	failed := errors.New("refused")
	for _, test := range []struct {
		name    string
		outcome Outcome
		want    string
	}{
		{"delivered", Outcome{Delivered: 1}, ""},
		{"given up", Outcome{Dead: 1, Err: failed}, `subscriber "sync": refused`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, rec := newQueue(DefaultParams())
				other := open(t, q, rec, "E_X", "other", false)
				r := open(t, q, rec, "E_X", "sync", true)
				result := make(chan error)
				go func() {
					_, err := q.Accept(t.Context(), &evid.Event{Name: "E_X"})
					result <- err
				}()
				synctest.Wait()
				select {
				case err := <-result:
					t.Fatalf("the raise did not wait: %v", err)
				default:
				}
				if !other.woken || !r.woken {
					t.Fatal("not all were woken")
				}
				if _, err := q.Accept(t.Context(), &evid.Event{Name: "E_X"}); err == nil || err.Error() != `subscriber "sync": events wait before it: 1` {
					t.Errorf("second raise: %v", err)
				}
				r.cursor.Next(make([]*evid.Event, 1))
				r.cursor.Done(test.outcome)
				if err := <-result; (err == nil) != (test.want == "") || err != nil && err.Error() != test.want {
					t.Errorf("Accept: %v, want %q", err, test.want)
				}
			})
		})
	}
}

func TestSyncEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(q *Queue, cancel context.CancelFunc)
		want string
	}{
		{
			"unsubscribed", func(q *Queue, _ context.CancelFunc) { q.CloseSub("E_X", "sync", evid.Unsubscribed) },
			`subscriber "sync": it unsubscribed`,
		},
		{
			"the raiser has no more time", func(_ *Queue, cancel context.CancelFunc) { cancel() },
			"wait for synchronous subscribers: context canceled",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, rec := newQueue(DefaultParams())
				open(t, q, rec, "E_X", "sync", true)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				result := make(chan error, 1)
				go func() {
					_, err := q.Accept(ctx, &evid.Event{Name: "E_X"})
					result <- err
				}()
				synctest.Wait()
				test.end(q, cancel)
				if err := <-result; err == nil || err.Error() != test.want {
					t.Errorf("Accept: %v, want %s", err, test.want)
				}
			})
		})
	}
}

// Many raisers and one reader: the ids come in order and none is missing.
func TestOrder(t *testing.T) {
	q, rec := newQueue(Params{MaxEvents: 1 << 20, MaxBytes: 1 << 30})
	r := open(t, q, rec, "E_X", "a", false)
	const raisers, each = 4, 500
	var wg sync.WaitGroup
	for range raisers {
		wg.Go(func() {
			for range each {
				if kept, err := q.Accept(context.Background(), &evid.Event{Name: "E_X"}); !kept || err != nil {
					t.Errorf("Accept = %t, %v", kept, err)
				}
			}
		})
	}
	wg.Wait()
	events := make([]*evid.Event, raisers*each+1)
	n := r.cursor.Next(events).Events
	if n != raisers*each {
		t.Fatalf("%d events, want %d", n, raisers*each)
	}
	for i, e := range events[:n] {
		if e.ID.Seq != uint64(i+1) || e.Time.IsZero() || time.Since(e.Time) > time.Hour {
			t.Fatalf("event %d has ID %v and time %v", i, e.ID, e.Time)
		}
	}
}

func BenchmarkAccept(b *testing.B) {
	for _, bench := range []struct {
		name        string
		subscribers int
	}{{"nobody", 0}, {"1 subscriber", 1}, {"100 subscribers", 100}} {
		b.Run(bench.name, func(b *testing.B) {
			readers := discardReaders{}
			q := New(DefaultParams(), readers)
			for i := range bench.subscribers {
				s := &testSocket{key: string(rune('a' + i))}
				if err := q.OpenSub(evid.Subscription{Event: "E_X", Socket: s}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				q.Accept(context.Background(), &evid.Event{Name: "E_X"})
			}
		})
	}
}

// discardReaders takes each event in the call that wakes it.
type discardReaders struct{}

type discardReader struct{ cursor *Cursor }

func (discardReaders) Attach(c *Cursor, _ evid.Subscription) Reader { return discardReader{c} }

func (r discardReader) Wake() {
	var events [1]*evid.Event
	for {
		if r.cursor.Next(events[:]).Events == 0 {
			return
		}
		r.cursor.Done(Outcome{Delivered: 1})
	}
}

func (discardReader) Discard() {}

func (discardReader) Detach() {}
