package queue

import (
	"fmt"
	"strings"
	"testing"

	"github.com/evid/evid"
)

// A testSocket is a socket of no transport.
type testSocket struct{ key string }

func (s *testSocket) Key() string    { return s.key }
func (s *testSocket) String() string { return s.key }

// A recorder is a Deliverer that notes what it is told.
type recorder struct {
	all   []*recordedReader
	last  *recordedReader // the newest
	wakes [][]*Cursor     // a call each
}

func (r *recorder) Attach(c *Cursor, s *evid.Subscription) Reader {
	r.last = &recordedReader{cursor: c, sub: s}
	r.all = append(r.all, r.last)
	return r.last
}

func (r *recorder) Wake(cursors []*Cursor) (kept bool) {
	r.wakes = append(r.wakes, append([]*Cursor(nil), cursors...))
	for _, c := range cursors {
		c.Reader().(*recordedReader).wake()
	}
	return false
}

// A recordedReader is a Reader that notes what it is told, and what it has been
// handed out.
type recordedReader struct {
	cursor   *Cursor
	sub      *evid.Subscription // of Attach or the last Renew
	woken    bool               // it has the cursor
	renewals int
	discards int
	detached bool
	events   []*evid.Event // handed out
}

func (r *recordedReader) wake() {
	if r.woken || r.detached {
		panic("woken twice or after the end")
	}
	r.woken = true
}

func (r *recordedReader) Renew(s *evid.Subscription) {
	r.sub = s
	r.renewals++
}

func (r *recordedReader) Discard() { r.discards++ }
func (r *recordedReader) Reads()   {}

func (r *recordedReader) Detach() {
	if r.detached {
		panic("detached twice")
	}
	r.detached = true
}

func (r *recordedReader) Report(s *evid.Status) { s.LastError = "of " + r.sub.Socket.Key() }

// next takes up to limit events.
func (r *recordedReader) next(limit int) Batch {
	if !r.woken || r.events != nil {
		panic("next of a cursor that it does not have, or before done")
	}
	events := make([]*evid.Event, limit)
	batch := r.cursor.Next(events)
	r.woken = batch.Events > 0
	if r.woken {
		r.events = events[:batch.Events]
	}
	return batch
}

// done returns what next took, with a fate for each.
func (r *recordedReader) done(fates ...Fate) Left {
	outcomes := make([]Outcome, len(fates))
	for i, fate := range fates {
		outcomes[i] = Outcome{Fate: fate}
		if fate == Dead {
			outcomes[i].Reason, outcomes[i].Attempts = "refused", 2
		}
	}
	return r.settle(outcomes...)
}

func (r *recordedReader) settle(outcomes ...Outcome) Left {
	if len(outcomes) != len(r.events) {
		panic(fmt.Sprintf("%d outcomes of %d events", len(outcomes), len(r.events)))
	}
	left := r.cursor.Done(r.events, outcomes)
	r.woken = left != Nothing
	r.events = nil
	return left
}

// seqs returns the numbers of what was handed out.
func (r *recordedReader) seqs() []uint64 { return seqs(r.events) }

func seqs(events []*evid.Event) []uint64 {
	var seqs []uint64
	for _, e := range events {
		seqs = append(seqs, e.ID.Seq)
	}
	return seqs
}

// A rig is a queue whose deliverer is a recorder. Its subscribers are to E_X.
type rig struct {
	*Queue
	t        *testing.T
	recorder *recorder
}

func newRig(t *testing.T, p Params) *rig {
	rec := &recorder{}
	return &rig{New(p, rec), t, rec}
}

// small are parameters for lists of so many events, and enough dead letters.
func small(events int, onFull string) Params {
	p := DefaultParams()
	p.MaxEvents, p.OnFull = events, onFull
	return p
}

func subscription(event, key string) *evid.Subscription {
	return &evid.Subscription{Event: event, Socket: &testSocket{key: key}}
}

// open subscribes. It returns the reader of a new subscriber, and nil for one that
// was there already.
func (r *rig) open(key string) *recordedReader { return r.openSub(subscription("E_X", key)) }

func (r *rig) openSync(key string) *recordedReader {
	s := subscription("E_X", key)
	s.Sync = true
	return r.openSub(s)
}

func (r *rig) openSub(s *evid.Subscription) *recordedReader {
	r.t.Helper()
	r.recorder.last = nil
	if err := r.OpenSub(s); err != nil {
		r.t.Fatal(err)
	}
	return r.recorder.last
}

func (r *rig) close(key string, why evid.Close) {
	r.t.Helper()
	if err := r.CloseSub("E_X", key, why); err != nil {
		r.t.Fatal(err)
	}
}

// raise raises n events that are kept.
func (r *rig) raise(n int) {
	r.t.Helper()
	for range n {
		if kept, err := r.Accept(r.t.Context(), &evid.Event{Name: "E_X"}); !kept || err != nil {
			r.t.Fatalf("Accept = %t, %v, want it kept", kept, err)
		}
	}
}

// counts returns the counts of a subscriber, which add up.
func (r *rig) counts(key string) evid.Counts {
	r.t.Helper()
	c, ok := r.Counts("E_X", key)
	if !ok {
		r.t.Fatalf("%s is unknown", key)
	}
	checkSum(r.t, key, c)
	return c
}

// checkSum checks guarantee 4.
func checkSum(t *testing.T, who string, c evid.Counts) {
	t.Helper()
	if c.Accepted != c.Delivered+c.Dead+c.Dropped+c.Abandoned+c.Waiting {
		t.Errorf("counts of %s do not add up: %+v", who, c)
	}
}

// kept returns the dead letters that are chosen.
func (r *rig) kept(f evid.DeadLetterFilter) []evid.DeadLetter {
	var kept []evid.DeadLetter
	for d := range r.DeadLetters(f) {
		kept = append(kept, d)
	}
	return kept
}

// numbers returns the numbers of the dead letters that are chosen.
func (r *rig) numbers(f evid.DeadLetterFilter) []uint64 {
	var numbers []uint64
	for d := range r.DeadLetters(f) {
		numbers = append(numbers, d.Number)
	}
	return numbers
}

// large is an event of E_X with so many bytes of text.
func large(bytes int) *evid.Event {
	return &evid.Event{Name: "E_X", Params: []evid.Param{evid.String("", strings.Repeat("x", bytes))}}
}
