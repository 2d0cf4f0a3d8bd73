package queue

import (
	"slices"

	"github.com/evid/evid"
)

// A modelList is what the list of one event name should hold, told in the plainest
// way: everybody has a list of their own.
type modelList struct {
	name    string
	max     int
	rejects bool
	ids     []evid.ID // of all that were accepted; the index is the ordinal
	subs    map[string]*modelSub
	retired evid.Counts
}

// A modelSub is what a subscriber should have.
type modelSub struct {
	list       *modelList
	key        string
	open, sync bool
	pending    []int // ordinals that wait, the first handed of them handed out
	handed     int
	discarded  bool       // the handed ones: it has unsubscribed since
	missed     []int      // dropped, and it does not know it yet
	missing    uint64     // number of the letter about what it has lost; 0: it has caught up
	replays    []uint64   // numbers of the letters that are to be replayed; some may be purged
	replaying  int        // of these: handed out
	raise      *syncRaise // that waits for it; nil: none
	counts     evid.Counts
	reader     *recordedReader

	discards, renewals int
}

// accepts says what should become of a raise.
func (l *modelList) accepts() (kept, full, early bool) {
	for _, m := range l.subs {
		kept = kept || m.open
		early = early || m.open && m.sync && len(m.pending)+len(m.missed)+len(m.replays) > 0
	}
	full = kept && l.rejects && l.len() >= l.max
	early = early && !full
	return kept && !full && !early, full, early
}

// accept appends an event that was kept.
func (l *modelList) accept(id evid.ID, raise *syncRaise) {
	l.ids = append(l.ids, id)
	for _, m := range l.subs {
		if m.open {
			m.pending = append(m.pending, len(l.ids)-1)
			m.counts.Accepted++
			if m.sync {
				m.raise = raise
			}
		}
		m.drop()
	}
}

// head is the oldest ordinal that the limit leaves.
func (l *modelList) head() int { return max(0, len(l.ids)-l.max) }

// len counts the events from the oldest one that somebody needs.
func (l *modelList) len() int {
	needed := len(l.ids)
	for _, m := range l.subs {
		if len(m.pending) > 0 {
			needed = min(needed, m.pending[0])
		}
	}
	return len(l.ids) - max(needed, l.head())
}

// isBehind reports whether somebody stands before the head, so that nothing is
// freed but for want of room.
func (l *modelList) isBehind() bool {
	for _, m := range l.subs {
		if len(m.missed) > 0 || len(m.pending) > 0 && m.pending[0] < l.head() {
			return true
		}
	}
	return false
}

// drop takes away what is before the head, but for what is handed out.
func (m *modelSub) drop() {
	for len(m.pending) > m.handed && m.pending[m.handed] < m.list.head() {
		m.missed = append(m.missed, m.pending[m.handed])
		m.pending = slices.Delete(m.pending, m.handed, m.handed+1)
		m.counts.Dropped++
	}
}

// hasEnded reports whether the cursor should be no more.
func (m *modelSub) hasEnded() bool {
	return !m.open && len(m.pending) == 0 && len(m.missed) == 0 && m.replaying == 0
}

// left is what Done should say.
func (m *modelSub) left() Left {
	switch {
	case m.hasEnded():
		return Nothing
	case m.raise != nil:
		return ARaise
	case len(m.pending)+len(m.missed)+len(m.replays) > 0:
		return Events
	default:
		return Nothing
	}
}

// together counts the events that should be handed out with one Next: those
// without a gap.
func (m *modelSub) together(limit int) int {
	n := 0
	for n < min(limit, MaxBatch, len(m.pending)) && m.pending[n] == m.pending[0]+n {
		n++
	}
	if m.raise != nil {
		n = min(n, 1)
	}
	return n
}

// letter is a dead letter about events of the subscriber.
func (m *modelSub) letter(ordinals ...int) modelLetter {
	ids := m.list.ids
	return modelLetter{
		event: m.list.name, key: m.key, count: uint64(len(ordinals)),
		first: ids[ordinals[0]], last: ids[ordinals[len(ordinals)-1]],
	}
}

// miss keeps a letter about what the subscriber has lost.
func (m *modelSub) miss(letters *modelLetters) {
	if len(m.missed) == 0 {
		return
	}
	d := m.letter(m.missed...)
	d.lost, d.reason = true, errDropped.Error()
	m.missed = nil
	if k := letters.find(m.missing); k != nil {
		k.count += d.count
		k.last = d.last
		return
	}
	letters.ranges++
	m.missing = letters.add(d)
}

// close ends what is accepted.
func (m *modelSub) close(why evid.Close, letters *modelLetters) {
	m.open = false
	if m.replaying == 0 {
		m.replays = nil
	}
	if why == evid.Expired {
		return
	}
	m.miss(letters)
	if m.handed > 0 || m.replaying > 0 {
		m.discards++
	}
	m.counts.Abandoned += uint64(len(m.pending) - m.handed)
	m.pending = m.pending[:m.handed]
	m.discarded = m.handed > 0
	if m.handed == 0 {
		m.raise = nil
	}
}

// settle takes what became of the events that were handed out.
func (m *modelSub) settle(outcomes []Outcome, letters *modelLetters) {
	var waits []int
	for i := range outcomes {
		o, ordinal := &outcomes[i], m.pending[i]
		if o.Retried {
			m.counts.Retried++
		}
		switch {
		case o.Fate == Waits && m.discarded:
			m.counts.Abandoned++
			m.raise = nil
		case o.Fate == Waits:
			waits = append(waits, ordinal)
		case o.Fate == Delivered:
			m.delivered(o)
		case o.Fate == Dead:
			m.counts.Dead++
			d := m.letter(ordinal)
			d.attempts, d.reason = o.Attempts, o.Reason
			letters.add(d)
			m.raise = nil
		}
	}
	m.pending = append(waits, m.pending[m.handed:]...)
	m.handed, m.discarded = 0, false
	m.drop()
}

func (m *modelSub) delivered(o *Outcome) {
	m.counts.Delivered++
	if o.Unconfirmed {
		m.counts.Unconfirmed++
	}
	if o.Odd {
		m.counts.Odd++
	}
	m.raise = nil
}

// settleReplays takes what became of the letters that were handed out.
func (m *modelSub) settleReplays(outcomes []Outcome, letters *modelLetters) {
	var waits []uint64
	end := !m.open
	for i := range outcomes {
		o, number := &outcomes[i], m.replays[i]
		switch o.Fate {
		case Delivered:
			letters.delivered(number)
			continue
		case Waits:
			waits = append(waits, number)
			if !o.Retried {
				continue
			}
			end = true
		case Dead:
		}
		if d := letters.find(number); d != nil {
			d.reason = o.Reason
			d.attempts += o.Attempts
		}
	}
	m.replays = append(waits, m.replays[m.replaying:]...)
	m.replaying = 0
	if end {
		m.replays = nil
	}
}

// A modelLetter is what a dead letter should say.
type modelLetter struct {
	number      uint64
	event, key  string
	lost        bool
	first, last evid.ID
	count       uint64
	attempts    int
	reason      string
}

// modelLetters are the dead letters that should be kept.
type modelLetters struct {
	max              int
	kept             []modelLetter
	made             uint64
	ranges           uint64 // of those made: about events that were lost
	purged, replayed uint64
	late             uint64 // of those purged: delivered after all, and so replayed as well
}

// add keeps a letter, and returns its number.
func (l *modelLetters) add(d modelLetter) uint64 {
	l.made++
	d.number = l.made
	l.kept = append(l.kept, d)
	if len(l.kept) > l.max {
		l.kept = l.kept[1:]
		l.purged++
	}
	return d.number
}

// find returns the letter of that number, if it is kept.
func (l *modelLetters) find(number uint64) *modelLetter {
	for i := range l.kept {
		if l.kept[i].number == number {
			return &l.kept[i]
		}
	}
	return nil
}

func (l *modelLetters) delivered(number uint64) {
	l.replayed++
	if l.find(number) == nil {
		l.late++
	}
	l.kept = slices.DeleteFunc(l.kept, func(d modelLetter) bool { return d.number == number })
}

// purge throws away those that f chooses, and returns how many they were.
func (l *modelLetters) purge(f evid.DeadLetterFilter) int {
	before := len(l.kept)
	l.kept = slices.DeleteFunc(l.kept, func(d modelLetter) bool { return d.chosen(f) })
	n := before - len(l.kept)
	l.purged += uint64(n)
	return n
}

func (d *modelLetter) chosen(f evid.DeadLetterFilter) bool {
	return (f.Event == "" || f.Event == d.event) && (f.Key == "" || f.Key == d.key) &&
		(f.Number == 0 || f.Number == d.number)
}
