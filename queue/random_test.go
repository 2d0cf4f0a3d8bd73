package queue

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid"
)

// A harness does the same to a queue and to the model.
type harness struct {
	*rig
	rng     *rand.Rand
	sync    bool // some subscribers are synchronous
	lists   map[string]*modelList
	letters modelLetters
	raises  map[*syncRaise]bool       // those that wait
	before  map[*modelSub]evid.Counts // of the last check
	highest map[*modelSub]int         // the highest ordinal it was handed
	log     []string
}

func newHarness(t *testing.T, seed uint64) *harness {
	rng := rand.New(rand.NewPCG(seed, 1))
	p := DefaultParams()
	p.MaxEvents = []int{1, 3, 7, 40, 200}[rng.IntN(5)]
	p.OnFull = []string{DropOldest, DropOldest, Reject}[rng.IntN(3)]
	p.MaxDeadLetters = []int{1, 5, 500}[rng.IntN(3)]
	h := &harness{
		rig: newRig(t, p), rng: rng, sync: rng.IntN(4) == 0,
		lists:   make(map[string]*modelList),
		letters: modelLetters{max: p.MaxDeadLetters},
		raises:  make(map[*syncRaise]bool),
		before:  make(map[*modelSub]evid.Counts),
		highest: make(map[*modelSub]int),
	}
	for _, name := range []string{"E_X", "E_Y"} {
		h.lists[name] = &modelList{
			name: name, max: p.MaxEvents, rejects: p.OnFull == Reject, subs: make(map[string]*modelSub),
		}
	}
	h.note("%+v", p)
	return h
}

func (h *harness) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

func (h *harness) fatalf(format string, args ...any) {
	h.t.Helper()
	h.t.Fatalf("%s\nafter %q", fmt.Sprintf(format, args...), h.log)
}

// subs lists the subscribers that the queue should know, in a fixed order.
func (h *harness) subs() []*modelSub {
	var subs []*modelSub
	for _, name := range slices.Sorted(maps.Keys(h.lists)) {
		l := h.lists[name]
		for _, key := range slices.Sorted(maps.Keys(l.subs)) {
			subs = append(subs, l.subs[key])
		}
	}
	return subs
}

func (h *harness) raise(l *modelList) {
	e := &evid.Event{Name: l.name}
	want, full, early := l.accepts()
	in, raise, err := h.accept(e)
	kept := in != nil
	switch {
	case kept != want, full != errors.Is(err, evid.ErrQueueFull), (full || early) != (err != nil):
		h.fatalf("accept = %t, %v; want %t, full %t, early %t", kept, err, want, full, early)
	case kept:
		l.accept(e.ID, raise)
	}
	synchronous := func(m *modelSub) bool { return m.open && m.sync }
	waits := kept && slices.ContainsFunc(slices.Collect(maps.Values(l.subs)), synchronous)
	if (raise != nil) != waits {
		h.fatalf("the raiser waits: %t, want %t", raise != nil, waits)
	}
	if waits {
		h.raises[raise] = true
	}
}

func (h *harness) subscribe(l *modelList, key string) {
	s := subscription(l.name, key)
	s.Sync = h.sync && h.rng.IntN(3) == 0
	reader := h.openSub(s)
	h.note("subscribe %s %s %t", l.name, key, s.Sync)
	m := l.subs[key]
	if (m == nil) != (reader != nil) {
		h.fatalf("attached: %t, want %t", reader != nil, m == nil)
	}
	if m == nil {
		m = &modelSub{list: l, key: key, reader: reader}
		l.subs[key] = m
		h.highest[m] = -1
	} else {
		m.renewals++
	}
	m.open, m.sync = true, s.Sync
	if m.reader.sub.Socket != s.Socket {
		h.fatalf("the reader of %s has not got its new subscription", key)
	}
}

func (h *harness) end(m *modelSub, why evid.Close) {
	h.note("close %s %s %v", m.list.name, m.key, why)
	if err := h.CloseSub(m.list.name, m.key, why); err != nil {
		h.fatalf("CloseSub: %v", err)
	}
	m.close(why, &h.letters)
	h.forget(m)
}

// forget drops a subscriber whose cursor should have ended.
func (h *harness) forget(m *modelSub) {
	if m.hasEnded() != m.reader.detached {
		h.fatalf("%s of %s is detached: %t, want %t", m.key, m.list.name, m.reader.detached, m.hasEnded())
	}
	if !m.hasEnded() {
		return
	}
	m.list.retired.Add(m.counts)
	delete(m.list.subs, m.key)
	if m.reader.woken {
		if b := m.reader.next(3); !b.Ended || b.Events != 0 {
			h.fatalf("Next of a cursor that has ended = %+v", b)
		}
	}
}

func (h *harness) next(m *modelSub, limit int) {
	batch := m.reader.next(limit)
	h.note("next %s %s of %d: %+v", m.list.name, m.key, limit, batch.Events)
	if batch.Lost.Count != uint64(len(m.missed)) {
		h.fatalf("%s has lost %d events, want %d", m.key, batch.Lost.Count, len(m.missed))
	}
	if len(m.missed) > 0 {
		h.checkRange(&batch.Lost, m.letter(m.missed...))
		m.raise = nil
		m.miss(&h.letters)
	}
	h.skipPurged(m, limit)
	replay := len(m.replays) > 0 && m.raise == nil
	if batch.Ended != m.hasEnded() || batch.Replay != replay || batch.Sync != (m.raise != nil) {
		h.fatalf("Next of %s = %+v, want ended %t, replay %t, sync %t", m.key, batch, m.hasEnded(), replay, m.raise != nil)
	}
	if !batch.Ended && batch.Subscription.Socket != m.reader.sub.Socket {
		h.fatalf("Next of %s with subscription %+v, want %+v", m.key, batch.Subscription, m.reader.sub)
	}
	if replay {
		h.handOutReplays(m, limit)
	} else {
		h.handOut(m, limit)
	}
	h.forget(m)
}

// skipPurged takes the letters that were purged out of the first that are to be
// replayed, as far as they are handed out together.
func (h *harness) skipPurged(m *modelSub, limit int) {
	if m.raise != nil {
		return
	}
	for n := 0; n < min(limit, MaxBatch, len(m.replays)); {
		if h.letters.find(m.replays[n]) == nil {
			m.replays = slices.Delete(m.replays, n, n+1)
		} else {
			n++
		}
	}
}

func (h *harness) handOutReplays(m *modelSub, limit int) {
	m.replaying = min(limit, MaxBatch, len(m.replays))
	var want, got []evid.ID
	for _, number := range m.replays[:m.replaying] {
		want = append(want, h.letters.find(number).first)
	}
	for _, e := range m.reader.events {
		got = append(got, e.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.fatalf("letters handed out to %s (-want +got):\n%s", m.key, diff)
	}
}

// handOut checks the events that were handed out, and apart from the model that
// they come in order: a lower one only comes again.
func (h *harness) handOut(m *modelSub, limit int) {
	m.handed = m.together(limit)
	if len(m.reader.events) != m.handed {
		h.fatalf("%s was handed %d events, want %d", m.key, len(m.reader.events), m.handed)
	}
	if m.handed == 0 {
		m.missing = 0 // it has caught up
	}
	for i, e := range m.reader.events {
		ordinal := m.pending[i]
		if want := m.list.ids[ordinal]; e.ID != want {
			h.fatalf("%s was handed %v, want %v", m.key, e.ID, want)
		}
		if i > 0 && e.ID.Compare(m.reader.events[i-1].ID) <= 0 {
			h.fatalf("%s was handed %v after %v", m.key, e.ID, m.reader.events[i-1].ID)
		}
		h.highest[m] = max(h.highest[m], ordinal)
	}
	if slices.ContainsFunc(m.pending[m.handed:], func(n int) bool { return m.handed > 0 && n < m.pending[0] }) {
		h.fatalf("%s was handed %v before what is older", m.key, m.pending[0])
	}
}

func (h *harness) done(m *modelSub, outcomes []Outcome) {
	fates := make([]Fate, len(outcomes))
	for i := range outcomes {
		fates[i] = outcomes[i].Fate
	}
	h.note("done %s %s %d", m.list.name, m.key, fates)
	left := m.reader.settle(outcomes...)
	if m.replaying > 0 {
		m.settleReplays(outcomes, &h.letters)
	} else {
		m.settle(outcomes, &h.letters)
	}
	if want := m.left(); left != want {
		h.fatalf("Done of %s = %d, want %d", m.key, left, want)
	}
	if left == Nothing {
		m.missing = 0
	}
	h.forget(m)
}

// outcomes are random ones, or in half of the cases all the same.
func (h *harness) outcomes(n int) []Outcome {
	outcomes := make([]Outcome, n)
	same := h.rng.IntN(2) == 0
	for i := range outcomes {
		o := &outcomes[i]
		if *o = (Outcome{Fate: Fate(h.rng.IntN(3))}); i > 0 && same {
			*o = outcomes[0]
			continue
		}
		if o.Fate == Delivered {
			o.Odd, o.Unconfirmed = h.rng.IntN(5) == 0, h.rng.IntN(5) == 0
			continue
		}
		o.Retried = o.Fate == Waits && h.rng.IntN(3) == 0
		if o.Fate == Dead || o.Retried {
			o.Reason, o.Attempts = fmt.Sprint("reason ", h.rng.IntN(100)), h.rng.IntN(8)
		}
	}
	return outcomes
}

// filter chooses one letter, those of a subscriber or of an event, or all.
func (h *harness) filter(m *modelSub) evid.DeadLetterFilter {
	return []evid.DeadLetterFilter{
		{},
		{Event: m.list.name},
		{Key: m.key},
		{Event: m.list.name, Key: m.key},
		{Number: h.rng.Uint64N(h.letters.made + 2)},
		{Number: h.keptNumber()},
		{Number: h.keptNumber()},
	}[h.rng.IntN(7)]
}

// keptNumber is the number of a letter that is kept, or of none.
func (h *harness) keptNumber() uint64 {
	if len(h.letters.kept) == 0 {
		return h.letters.made + 1
	}
	return h.letters.kept[h.rng.IntN(len(h.letters.kept))].number
}

func (h *harness) replay(f evid.DeadLetterFilter) {
	wantReplayed, wantLeft := 0, 0
	for _, d := range h.letters.kept {
		m := h.lists[d.event].subs[d.key]
		switch {
		case !d.chosen(f):
		case d.lost || m == nil || !m.open:
			wantLeft++
		default:
			wantReplayed++
			if !slices.Contains(m.replays, d.number) {
				m.replays = append(m.replays, d.number)
			}
		}
	}
	replayed, left, err := h.Replay(f)
	h.note("replay %+v: %d %d", f, replayed, left)
	if replayed != wantReplayed || left != wantLeft || err != nil {
		h.fatalf("Replay = %d, %d, %v, want %d, %d", replayed, left, err, wantReplayed, wantLeft)
	}
}

func (h *harness) purge(f evid.DeadLetterFilter) {
	want := h.letters.purge(f)
	h.note("purge %+v: %d", f, want)
	if got, err := h.Purge(f); got != want || err != nil {
		h.fatalf("Purge = %d, %v, want %d", got, err, want)
	}
}

// step does something at random.
func (h *harness) step() {
	l := h.lists[[]string{"E_X", "E_X", "E_Y"}[h.rng.IntN(3)]]
	key := fmt.Sprint("s", h.rng.IntN(4))
	m := l.subs[key]
	switch op := h.rng.IntN(40); {
	case op < 10:
		h.note("raise %s", l.name)
		h.raise(l)
	case op == 10:
		n := h.rng.IntN(100)
		h.note("raise %s %d times", l.name, n)
		for range n {
			h.raise(l)
		}
	case op < 14 || m == nil:
		h.subscribe(l, key)
	case op < 17:
		h.end(m, evid.Expired)
	case op == 17:
		h.end(m, []evid.Close{evid.Unsubscribed, evid.Dismissed}[h.rng.IntN(2)])
	case op < 20:
		h.replay(h.filter(m))
	case op < 22:
		h.purge(h.filter(m))
	case !m.reader.woken:
	case m.handed+m.replaying == 0:
		h.next(m, []int{1, 3, 32, MaxBatch, MaxBatch + 6}[h.rng.IntN(5)])
	default:
		h.done(m, h.outcomes(m.handed+m.replaying))
	}
}

// drain has all that waits delivered.
func (h *harness) drain() {
	h.Refuse()
	for {
		subs := slices.DeleteFunc(h.subs(), func(m *modelSub) bool { return !m.reader.woken })
		if len(subs) == 0 {
			break
		}
		for _, m := range subs {
			if m.handed+m.replaying == 0 {
				h.next(m, MaxBatch)
				continue
			}
			h.done(m, slices.Repeat([]Outcome{{Fate: Delivered}}, m.handed+m.replaying))
		}
		h.check()
	}
	if waiting := h.Totals().Waiting; waiting != 0 {
		h.fatalf("%d events wait after all", waiting)
	}
	for name, l := range h.lists {
		if list := h.find(name); list != nil && list.ring.len() != 0 {
			h.fatalf("%d of %d events are kept after all", list.ring.len(), len(l.ids))
		}
	}
}

// TestAgainstModel does random things to a queue and to the model, and compares
// all that can be seen after each step.
func TestAgainstModel(t *testing.T) {
	seeds, steps := uint64(400), 200
	if testing.Short() {
		seeds = 100
	}
	for seed := range seeds {
		h := newHarness(t, seed)
		h.note("seed %d", seed)
		for range steps {
			h.step()
			h.check()
		}
		h.drain()
	}
}
