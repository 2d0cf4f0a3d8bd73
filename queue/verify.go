package queue

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"math/bits"
	"slices"
	"time"
)

// A Check looks through the entries of a store that no queue is using, and says what is
// kept and what is lost. [NewCheck] returns one.
type Check struct {
	report Report
	last   [Journals]uint64 // positions

	logged uint64 // events, up to the last chunk
	names  map[string]*checkedName

	letters map[uint64]bool // numbers
	state   *loading
}

// A checkedName is what there is of one event name.
type checkedName struct {
	ranges []span // that are in the log, in order
}

// A Report says what a store has.
type Report struct {
	Journals [Journals]JournalReport

	Events      uint64 // in the log
	Names       int    // of these events
	Letters     int    // dead letters
	Subscribers int
	Waiting     uint64 // events that are there, each counted once for each subscriber that it waits for
	Unfinished  int    // saves that do not count: their end was not written

	Problems []string // what is damaged or missing, for people
	Notes    []string // what is in order, but may be looked at
	More     int      // problems and notes that have no place
}

// A JournalReport says what a journal has.
type JournalReport struct {
	Entries, Bytes uint64
	First, Last    time.Time // of what is in it; zero: nothing
}

// maxProblems is how many problems, and how many notes, a report has.
const maxProblems = 1000

// NewCheck returns a check of which all entries are still to come.
func NewCheck() *Check {
	return &Check{
		names:   make(map[string]*checkedName),
		letters: make(map[uint64]bool),
		state:   newLoading(&disk{log: slog.New(slog.DiscardHandler)}),
	}
}

// Add takes the next entry of a journal. It has an error for the sake of who calls it:
// what is wrong is in the report.
func (c *Check) Add(j Journal, entry Entry) error {
	r := &c.report.Journals[j]
	r.Entries++
	r.Bytes += uint64(len(entry.Data))
	if last := c.last[j]; last > 0 && entry.Pos > last+1 && j != LetterLog { // there single ones are thrown away
		c.problem("%s: %s", j, missing(last+1, entry.Pos-1))
	}
	var err error
	switch j {
	case EventLog:
		err = c.addChunk(entry)
	case LetterLog:
		err = c.addLetters(entry)
	case StateLog:
		err = c.addState(entry)
	}
	if err != nil {
		c.problem("%v", err)
	}
	c.last[j] = entry.Pos
	return nil
}

func missing(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("entry %d is missing", from)
	}
	return fmt.Sprintf("entries %d to %d are missing", from, to)
}

func (c *Check) problem(format string, args ...any) { c.note(&c.report.Problems, format, args...) }

func (c *Check) note(to *[]string, format string, args ...any) {
	if len(*to) == maxProblems {
		c.report.More++
		return
	}
	*to = append(*to, fmt.Sprintf(format, args...))
}

// period notes that there is something of a time.
func (r *JournalReport) period(from, to time.Time) {
	if r.First.IsZero() || from.Before(r.First) {
		r.First = from
	}
	if r.Last.Before(to) {
		r.Last = to
	}
}

func (c *Check) addChunk(entry Entry) error {
	chunk, err := readChunk(entry)
	if err != nil {
		return err
	}
	if c.logged > 0 && chunk.before > c.logged {
		c.problem("events: lost before entry %d: %d", entry.Pos, chunk.before-c.logged)
	}
	c.logged = chunk.before + uint64(chunk.events)
	c.report.Events += uint64(chunk.events)
	for i := range chunk.names {
		of := &chunk.names[i]
		c.addEvents(of)
		for _, e := range of.events {
			c.report.Journals[EventLog].period(e.Time, e.Time)
		}
	}
	return nil
}

// addEvents notes which events of a name there are.
func (c *Check) addEvents(of *chunkName) {
	name := c.names[of.name]
	if name == nil {
		name = &checkedName{}
		c.names[of.name] = name
	}
	added := span{of.ordinal, of.ordinal + uint64(len(of.events))}
	last := len(name.ranges) - 1
	if last < 0 {
		name.ranges = append(name.ranges, added)
		return
	}
	end := &name.ranges[last].to
	if added.from > *end {
		c.problem("events: missing of %s, from its event %d on: %d", of.name, *end, added.from-*end)
		name.ranges = append(name.ranges, added)
		return
	}
	*end = max(*end, added.to)
}

func (c *Check) addLetters(entry Entry) error {
	letters, err := readLetterEntry(entry)
	for _, d := range letters {
		c.letters[d.Number] = true
		c.report.Journals[LetterLog].period(d.First, d.Last)
	}
	return err
}

func (c *Check) addState(entry Entry) error {
	e, err := readStateEntry(entry)
	if err != nil {
		return err
	}
	if len(c.state.pending) > 0 && e.save != c.state.save {
		c.report.Unfinished++
	}
	if _, all := first(e.records).(checkpoint); c.last[StateLog] == 0 && !all {
		c.problem("state: what was saved before entry %d is missing: subscribers may be", entry.Pos)
	}
	c.state.addState(entry)
	if m, ends := last(e.records).(*meta); ends {
		c.report.Journals[StateLog].period(m.time, m.time)
	}
	return nil
}

func first(records []any) any {
	if len(records) == 0 {
		return nil
	}
	return records[0]
}

func last(records []any) any {
	if len(records) == 0 {
		return nil
	}
	return records[len(records)-1]
}

// Report says what was found, once all entries were added.
func (c *Check) Report() Report {
	r := &c.report
	s := c.state
	if len(s.pending) > 0 {
		r.Unfinished++
		s.pending = nil
	}
	r.Names, r.Subscribers = len(c.names), len(s.cursors)
	known := s.meta != meta{}
	if used := c.last != [Journals]uint64{}; used && !known {
		c.problem("state: there is no save that has its end: no subscriber is known")
	}
	if newest := c.last[EventLog]; known && newest > 0 && newest < s.meta.applied {
		c.problem("events: %s: they were the newest", missing(newest+1, s.meta.applied))
	}
	c.countLetters()
	for _, id := range slices.Sorted(maps.Keys(s.cursors)) {
		c.checkCursor(s.cursors[id])
	}
	return *r
}

// countLetters counts the dead letters that count.
func (c *Check) countLetters() {
	unsaved := 0
	for number := range c.letters {
		switch {
		case number > c.state.meta.lastLetter:
			unsaved++
		case !c.state.removed[number]:
			c.report.Letters++
		}
	}
	if unsaved > 0 {
		c.note(&c.report.Notes, "letters: of events that are delivered again, as it was not saved what has become of them: %d", unsaved)
	}
}

// checkCursor looks whether what waits for a subscriber is there.
func (c *Check) checkCursor(s *loadedCursor) {
	tail := c.state.lists[s.event].tail
	pos, ahead := tail, uint64(0)
	if s.lag != nil {
		pos, ahead = min(s.lag.pos, tail), s.lag.ahead
	}
	var ranges []span
	if name := c.names[s.event]; name != nil {
		ranges = name.ranges
		tail = max(tail, ranges[len(ranges)-1].to)
	}
	waits := []span{{pos, min(s.end, tail)}}
	if s.discarded {
		waits, ahead = nil, 0
	}
	for _, later := range s.later {
		waits = append(waits, span{later.from, min(later.to, tail)})
	}
	var waiting, there uint64
	for _, w := range waits {
		waiting += w.within(0, endless)
		for _, kept := range ranges {
			there += w.within(kept.from, kept.to)
		}
	}
	for left := ahead; left != 0; left &= left - 1 { // those are done
		done := pos + uint64(bits.TrailingZeros64(left))
		waiting--
		if slices.ContainsFunc(ranges, func(kept span) bool { return kept.from <= done && done < kept.to }) {
			there--
		}
	}
	c.report.Waiting += there
	if lost := waiting - there; lost > 0 {
		c.note(&c.report.Notes, "%s of %s: events that wait for it: %d; of these dropped by a limit, or lost: %d",
			cmp.Or(s.text, s.key), s.event, waiting, lost)
	}
}
