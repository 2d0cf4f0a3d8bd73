package queue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid"
)

// A testSocket is a socket of no transport.
type testSocket struct{ key string }

func (s *testSocket) Key() string    { return s.key }
func (s *testSocket) String() string { return s.key }

// A recorder is a Deliverer that notes what it is told.
type recorder struct {
	readers map[*Cursor]*recordedReader
	last    *recordedReader
}

type recordedReader struct {
	cursor   *Cursor
	woken    bool
	detached bool
}

func (r *recorder) Attach(c *Cursor, _ evid.Subscription) Reader {
	reader := &recordedReader{cursor: c}
	r.readers[c] = reader
	r.last = reader
	return reader
}

func (r *recordedReader) Wake() {
	if r.woken || r.detached {
		panic("woken twice or after the end")
	}
	r.woken = true
}

func (r *recordedReader) Discard() {}

func (r *recordedReader) Detach() {
	if r.detached {
		panic("detached twice")
	}
	r.detached = true
}

// A model is what a subscriber should have, told in the plainest way.
type model struct {
	key     string
	open    bool
	pending []uint64 // ordinals that wait, the first handed of them handed out
	handed  int
	discard int // of the handed ones: those of a subscription that was ended
	counts  evid.Counts
	reader  *recordedReader
}

type harness struct {
	t        *testing.T
	rng      *rand.Rand
	queue    *Queue
	recorder *recorder
	models   map[string]*model
	retired  evid.Counts
	tail     uint64
	ids      []evid.ID // by ordinal
	log      []string
}

const modelMaxEvents = 7

func newHarness(t *testing.T, seed uint64) *harness {
	rec := &recorder{readers: make(map[*Cursor]*recordedReader)}
	return &harness{
		t:        t,
		rng:      rand.New(rand.NewPCG(seed, 1)),
		queue:    New(Params{MaxEvents: modelMaxEvents, MaxBytes: 1 << 30}, rec),
		recorder: rec,
		models:   make(map[string]*model),
	}
}

func (h *harness) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

func (h *harness) raise() {
	h.note("raise %d", h.tail)
	e := &evid.Event{Name: "E_X"}
	kept, err := h.queue.Accept(context.Background(), e)
	anyOpen := false
	for _, m := range h.models {
		anyOpen = anyOpen || m.open
	}
	if err != nil || kept != anyOpen {
		h.t.Fatalf("Accept = %t, %v, want %t", kept, err, anyOpen)
	}
	if !kept {
		return
	}
	h.ids = append(h.ids, e.ID)
	h.tail++
	for _, m := range h.models {
		if m.open {
			m.pending = append(m.pending, h.tail-1)
			m.counts.Accepted++
		}
		for len(m.pending) > m.handed && m.pending[m.handed]+modelMaxEvents < h.tail {
			m.pending = append(m.pending[:m.handed], m.pending[m.handed+1:]...)
			m.counts.Dropped++
		}
	}
}

func (h *harness) subscribe(key string) {
	h.note("subscribe %s", key)
	h.recorder.last = nil
	if err := h.queue.OpenSub(evid.Subscription{Event: "E_X", Socket: &testSocket{key: key}}); err != nil {
		h.t.Fatal(err)
	}
	m := h.models[key]
	if m == nil {
		m = &model{key: key, reader: h.recorder.last}
		h.models[key] = m
	}
	m.open = true
}

func (h *harness) close(m *model, why evid.Close) {
	h.note("close %s %v", m.key, why)
	if err := h.queue.CloseSub("E_X", m.key, why); err != nil {
		h.t.Fatal(err)
	}
	m.open = false
	if why != evid.Expired {
		m.counts.Abandoned += uint64(len(m.pending) - m.handed)
		m.pending = m.pending[:m.handed]
		m.discard = m.handed
	}
	h.forget(m)
}

// forget drops a model whose cursor must have ended: nothing is left for it,
// and the engine does not hold it.
func (h *harness) forget(m *model) {
	if !m.open && len(m.pending) == 0 && !m.reader.woken {
		if !m.reader.detached {
			h.t.Fatalf("%s has nothing left and was not detached\nafter %v", m.key, h.log)
		}
		h.retired.Add(m.counts)
		delete(h.models, m.key)
	}
}

func (h *harness) next(m *model) {
	var events [3]*evid.Event
	size := 1 + h.rng.IntN(3)
	n := m.reader.cursor.Next(events[:size]).Events
	h.note("next %s of %d: %d", m.key, size, n)
	if len(m.pending) == 0 {
		if n != 0 {
			h.t.Fatalf("%s was handed %d events, nothing waits", m.key, n)
		}
		m.reader.woken = false
		h.forget(m)
		return
	}
	if n == 0 || n > len(m.pending) {
		h.t.Fatalf("%s was handed %d events, %d wait", m.key, n, len(m.pending))
	}
	for i, e := range events[:n] {
		if want := h.ids[m.pending[i]]; e.ID != want {
			h.t.Fatalf("%s was handed %v, want %v", m.key, e.ID, want)
		}
	}
	m.handed = n
}

func (h *harness) done(m *model) {
	delivered := h.rng.IntN(m.handed + 1)
	dead := h.rng.IntN(m.handed - delivered + 1)
	h.note("done %s %d+%d of %d", m.key, delivered, dead, m.handed)
	m.reader.cursor.Done(Outcome{Delivered: delivered, Dead: dead})
	m.counts.Delivered += uint64(delivered)
	m.counts.Dead += uint64(dead)
	if m.discard > 0 {
		m.counts.Abandoned += uint64(m.handed - delivered - dead)
		m.pending = m.pending[m.handed:]
	} else {
		m.pending = m.pending[delivered+dead:]
	}
	m.handed, m.discard = 0, 0
	for len(m.pending) > 0 && m.pending[0]+modelMaxEvents < h.tail {
		m.pending = m.pending[1:]
		m.counts.Dropped++
	}
}

func (h *harness) check() {
	total := h.retired
	for _, m := range h.models {
		want := m.counts
		want.Waiting = uint64(len(m.pending))
		total.Add(want)
		got, ok := h.queue.Counts("E_X", m.key)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			h.t.Fatalf("counts of %s (-want +got):\n%s\nafter %v", m.key, diff, h.log)
		}
		if got.Accepted != got.Delivered+got.Dead+got.Dropped+got.Abandoned+got.Waiting {
			h.t.Fatalf("counts of %s do not add up: %+v", m.key, got)
		}
		if len(m.pending) > 0 && !m.reader.woken {
			h.t.Fatalf("%s has %d events and was not woken\nafter %v", m.key, len(m.pending), h.log)
		}
	}
	if diff := cmp.Diff(total, h.queue.Totals()); diff != "" {
		h.t.Fatalf("totals (-want +got):\n%s\nafter %v", diff, h.log)
	}
}

// checkMemory: only what somebody still needs is kept. While a cursor stands
// before the oldest event, until it is moved on, that is all up to the limit.
func (h *harness) checkMemory() {
	oldest := h.tail
	for _, m := range h.models {
		if len(m.pending) > 0 {
			oldest = min(oldest, m.pending[0])
		}
	}
	l := h.queue.find("E_X")
	if l == nil {
		return
	}
	most := modelMaxEvents
	if l.behind == 0 {
		most = min(most, int(h.tail-oldest))
	}
	if kept := l.ring.len(); kept > most {
		h.t.Fatalf("%d events kept, %d needed\nafter %v", kept, most, h.log)
	}
}

// TestAgainstModel does random things to a queue and to the model, and compares
// all counts after each step.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(1000) {
		h := newHarness(t, seed)
		for range 120 {
			key := fmt.Sprint("s", h.rng.IntN(4))
			m := h.models[key]
			switch op := h.rng.IntN(20); {
			case op < 6:
				h.raise()
			case op < 8 || m == nil:
				h.subscribe(key)
			case op == 8:
				h.close(m, evid.Expired)
			case op == 9:
				h.close(m, evid.Unsubscribed)
			case !m.reader.woken:
			case m.handed == 0:
				h.next(m)
			default:
				h.done(m)
			}
			h.check()
			h.checkMemory()
		}
	}
}
