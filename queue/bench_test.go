package queue

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/evid/evid"
)

// A drainer is a Deliverer that keeps what it is woken for until drain.
type drainer struct{ woken []*Cursor }

type drainedReader struct{}

func (*drainer) Attach(*Cursor, *evid.Subscription) Reader { return drainedReader{} }
func (d *drainer) Wake(cursors []*Cursor) bool             { d.woken = append(d.woken, cursors...); return false }
func (drainedReader) Renew(*evid.Subscription)             {}
func (drainedReader) Discard()                             {}
func (drainedReader) Reads()                               {}
func (drainedReader) Detach()                              {}
func (drainedReader) Report(*evid.Status)                  {}

// drain has all delivered to those that were woken.
func (d *drainer) drain() {
	var events [MaxBatch]*evid.Event
	var outcomes [MaxBatch]Outcome
	for i := range outcomes {
		outcomes[i].Fate = Delivered
	}
	for _, c := range d.woken {
		for more := true; more; {
			n := c.Next(events[:]).Events
			more = n > 0 && c.Done(events[:n], outcomes[:n]) != Nothing
		}
	}
	clear(d.woken)
	d.woken = d.woken[:0]
}

// crowded returns a queue with so many subscribers to each of so many events.
func crowded(tb testing.TB, p Params, events, subscribers int) (*Queue, *drainer) {
	tb.Helper()
	d := &drainer{}
	q := New(p, d)
	for n := range events {
		for key := range subscribers {
			if err := q.OpenSub(subscription(fmt.Sprint("E_", n), fmt.Sprint(key))); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return q, d
}

// eventsOf returns one event of each name.
func eventsOf(names int) []*evid.Event {
	events := make([]*evid.Event, names)
	for n := range events {
		events[n] = &evid.Event{Name: fmt.Sprint("E_", n)}
	}
	return events
}

func accept(tb testing.TB, q *Queue, events []*evid.Event) {
	for _, e := range events {
		if kept, err := q.Accept(context.Background(), e); !kept || err != nil {
			tb.Fatalf("Accept = %t, %v", kept, err)
		}
	}
}

// What a raise costs whose subscribers all have to be woken. Only Accept counts:
// many names are raised between two looks at the clock.
func BenchmarkAcceptWakes(b *testing.B) {
	for _, bench := range []struct{ subscribers, names int }{{1, 256}, {100, 16}, {10_000, 1}} {
		b.Run(fmt.Sprint(bench.subscribers), func(b *testing.B) {
			q, d := crowded(b, DefaultParams(), bench.names, bench.subscribers)
			events := eventsOf(bench.names)
			var spent time.Duration
			rounds := 0
			for b.Loop() {
				begun := time.Now()
				accept(b, q, events)
				spent += time.Since(begun)
				rounds++
				d.drain()
			}
			raises := float64(rounds * bench.names)
			b.ReportMetric(float64(spent)/raises, "ns/op")
			b.ReportMetric(float64(spent)/raises/float64(bench.subscribers), "ns/subscriber")
		})
	}
}

// What a raise costs whose subscribers are all behind: nobody has to be woken, and
// each event drops one.
func BenchmarkAcceptBehind(b *testing.B) {
	for _, subscribers := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(subscribers), func(b *testing.B) {
			q, _ := crowded(b, DefaultParams(), 1, subscribers)
			e := &evid.Event{Name: "E_0"}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := q.Accept(context.Background(), e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAcceptNobody(b *testing.B) {
	q, _ := crowded(b, DefaultParams(), 0, 0)
	e := &evid.Event{Name: "E_0"}
	b.ReportAllocs()
	for b.Loop() {
		q.Accept(context.Background(), e)
	}
}

// What 32 events cost that one subscriber is handed at a time: raise, Next, Done.
func BenchmarkTurn(b *testing.B) {
	t := newTurn(b)
	b.ReportAllocs()
	for b.Loop() {
		t.run()
	}
}

const turnEvents = 32

// A turn raises events and has them delivered to one subscriber.
type turn struct {
	tb       testing.TB
	queue    *Queue
	deliver  *drainer
	raised   []*evid.Event
	events   [turnEvents]*evid.Event
	outcomes [turnEvents]Outcome
}

func newTurn(tb testing.TB) *turn {
	q, d := crowded(tb, DefaultParams(), 1, 1)
	t := &turn{tb: tb, queue: q, deliver: d}
	for i := range turnEvents {
		t.raised = append(t.raised, &evid.Event{Name: "E_0"})
		t.outcomes[i].Fate = Delivered
	}
	return t
}

func (t *turn) run() {
	accept(t.tb, t.queue, t.raised)
	t.take()
}

func (t *turn) take() {
	c := t.deliver.woken[0]
	t.deliver.woken = t.deliver.woken[:0]
	if n := c.Next(t.events[:]).Events; n != turnEvents {
		t.tb.Fatalf("Next: %d events", n)
	}
	if left := c.Done(t.events[:], t.outcomes[:]); left != Nothing {
		t.tb.Fatalf("Done = %d, want %d", left, Nothing)
	}
}

// Neither raising nor delivering allocates, once what they need is there.
func TestAllocations(t *testing.T) {
	turn := newTurn(t)
	woken, d := crowded(t, DefaultParams(), 1, 100)
	behind, _ := crowded(t, DefaultParams(), 1, 100)
	one, other := eventsOf(1), &evid.Event{Name: "E_9"}
	for range DefaultParams().MaxEvents {
		accept(t, behind, one)
	}
	for _, test := range []struct {
		name string
		run  func()
	}{
		{"raise, Next and Done, 32 events at a time", turn.run},
		{"raise for 100 that are woken, Next and Done", func() {
			accept(t, woken, one)
			d.drain()
		}},
		{"raise for 100 that are behind", func() { accept(t, behind, one) }},
		{"raise for nobody", func() { woken.Accept(context.Background(), other) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			if n := testing.AllocsPerRun(200, test.run); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}
