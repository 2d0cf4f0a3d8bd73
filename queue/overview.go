package queue

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/evid/evid"
)

// An Overview says what a queue keeps, and how it is doing.
type Overview struct {
	Mode  string    // Durable or Memory
	Err   error     // why nothing can be written now; nil: it can
	Since time.Time // of Err, about
	Full  bool      // raises are refused: there is no room

	Events uint64    // that are kept, also if nobody needs them any more
	Bytes  uint64    // that these take
	Oldest time.Time // when the oldest was raised; zero: there is none

	// The limits; 0: there is none. Those of Memory are for each event name.
	MaxEvents, MaxBytes uint64
	MaxAge              time.Duration
	OnFull              string

	Letters LetterCounts
	Waiting uint64 // events, counted once for each subscriber
	Dormant int    // subscribers that were kept across a restart and not opened since
	Behind  int    // subscribers that are dormant or for which events wait
	Lags    []Lag  // of these those that are furthest behind

	// Since the start. All but Refused stay 0 in Memory.
	Commits        uint64 // groups of raises that were written
	Committed      uint64 // raises in these
	CommitFailures uint64 // groups that were not, or maybe not
	SaveFailures   uint64 // attempts to save what has become of subscribers
	Refused        uint64 // raises that failed because the queue was full or could not write
}

// A Lag is how far behind a subscriber is.
type Lag struct {
	Event   string
	Socket  evid.Socket
	Waiting uint64
	Oldest  time.Time // when the oldest of these was raised; zero: that cannot be told quickly
	Dormant bool
}

// counters are those of an Overview.
type counters struct {
	commits, committed, commitFailures, saveFailures, refused atomic.Uint64
}

// Overview describes the queue, with so many of the subscribers that are behind, at most.
// For these it may read what is on disk: it waits for that no longer than the store
// does, and does without.
func (q *Queue) Overview(lags int) Overview {
	o := Overview{
		Mode:           Memory,
		MaxEvents:      uint64(q.memory.events),
		MaxBytes:       uint64(q.memory.bytes),
		OnFull:         q.params.OnFull,
		Letters:        q.letters.counts(),
		Commits:        q.counters.commits.Load(),
		Committed:      q.counters.committed.Load(),
		CommitFailures: q.counters.commitFailures.Load(),
		SaveFailures:   q.counters.saveFailures.Load(),
		Refused:        q.counters.refused.Load(),
	}
	var places []place
	for _, l := range q.allLists() {
		places = l.describe(&o, places)
	}
	if q.disk != nil {
		q.disk.describeLog(&o)
	}
	o.Behind = len(places)
	slices.SortFunc(places, place.compare)
	places = places[:min(lags, len(places))]
	if q.disk != nil {
		q.disk.date(places)
	}
	for i := range places {
		o.Lags = append(o.Lags, places[i].Lag)
	}
	return o
}

// A place is a lag with the place of its oldest event.
type place struct {
	Lag
	ordinal uint64
	chunk   uint64 // at which to look for it; 0: it is in memory
}

func (p place) compare(other place) int {
	return cmp.Or(
		-cmp.Compare(p.Waiting, other.Waiting),
		cmp.Compare(p.Event, other.Event),
		cmp.Compare(p.Socket.Key(), other.Socket.Key()),
	)
}

// describe adds what there is to say of a list: to places, its cursors that are behind.
func (l *list) describe(o *Overview, places []place) []place {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := &l.ring; r.len() > 0 {
		o.Events += uint64(r.len())
		o.Bytes += uint64(r.bytes)
		if first := r.at(r.head).event.Time; o.Oldest.IsZero() || first.Before(o.Oldest) {
			o.Oldest = first
		}
	}
	for _, c := range l.cursors {
		waiting := c.countsLocked().Waiting
		dormant := c.reader == nil
		o.Waiting += waiting
		if dormant {
			o.Dormant++
		}
		if waiting == 0 && !dormant {
			continue
		}
		p := place{Lag: Lag{Event: l.name, Socket: c.sub.Socket, Waiting: waiting, Dormant: dormant}, ordinal: c.pos}
		switch {
		case waiting == 0:
		case c.pos < l.ring.head && l.queue.disk != nil:
			p.chunk = max(c.placeLocked().pos, 1)
		default:
			p.Oldest = l.ring.at(max(c.pos, l.ring.head)).event.Time
		}
		places = append(places, p)
	}
	return places
}

// A logStart says with what the event log begins.
type logStart struct {
	pos    uint64 // 0: it is empty
	before uint64 // events that were logged before
	time   time.Time
}

// describeLog says what is on disk, as of when it was last trimmed.
func (d *disk) describeLog(o *Overview) {
	p := &d.queue.params
	o.Mode, o.MaxAge, o.Full = Durable, p.MaxAge, d.full.Load()
	o.MaxEvents, o.MaxBytes = uint64(p.MaxEvents), 0
	if d.maxBytes < math.MaxInt64 {
		o.MaxBytes = uint64(d.maxBytes)
	}
	o.Since, o.Err = d.health()
	o.Events, o.Bytes, o.Oldest = 0, uint64(d.bytes.Load()), time.Time{}
	if start := d.start.Load(); start != nil {
		o.Events, o.Oldest = d.logged.Load()-start.before, start.time
	}
}

// health returns why the store takes nothing, and since when that is known.
func (d *disk) health() (since time.Time, err error) {
	err = d.store.Health()
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err == nil:
		d.sick = time.Time{}
	case d.sick.IsZero():
		d.sick = time.Now()
	}
	return d.sick, err
}

// noteStart notes with what the event log begins. Before it was asked what there is, so
// many events had been logged.
func (d *disk) noteStart(info *JournalInfo, logged uint64) error {
	if info.First > info.Last {
		d.start.Store(&logStart{before: logged})
		return nil
	}
	start := d.start.Load()
	if start != nil && start.pos == info.First {
		return nil
	}
	header, err := d.header(info.First)
	switch {
	case err != nil:
		return err
	case header != nil:
		start = &logStart{info.First, header.before, header.time}
	case start == nil:
		start = &logStart{info.First, logged, info.Oldest}
	default: // it is damaged
		start = &logStart{info.First, start.before, info.Oldest}
	}
	d.start.Store(start)
	return nil
}

const (
	// dateTime is how long it may take to date events that are on disk.
	dateTime = 250 * time.Millisecond
	// dateChunks is how many chunks are looked through for one of them.
	dateChunks = 64
)

// date finds out when events were raised that are on disk. It ends with the first error.
func (d *disk) date(places []place) {
	type event struct {
		name    string
		ordinal uint64
	}
	known := make(map[event]time.Time) // many stand at the same one
	deadline := time.Now().Add(dateTime)
	for i := range places {
		p := &places[i]
		if p.chunk == 0 || time.Now().After(deadline) {
			continue
		}
		e := event{p.Event, p.ordinal}
		raised, is := known[e]
		if !is {
			var err error
			if raised, err = d.raised(p.Event, p.ordinal, p.chunk); err != nil {
				return
			}
			known[e] = raised
		}
		p.Oldest = raised
	}
}

// raised returns when an event was raised that is in the log from a position on, or the
// next one that is there; zero: it is far.
func (d *disk) raised(name string, ordinal, from uint64) (time.Time, error) {
	for range dateChunks {
		next, err := d.chunks.at(from)
		if err != nil || next == nil {
			return time.Time{}, err
		}
		from = next.pos + 1
		chunk, err := next.read()
		if err != nil {
			continue // who reads it for a subscriber tells that it is damaged
		}
		of := chunk.of(name)
		if of != nil && of.ordinal+uint64(len(of.events)) > ordinal {
			return of.events[max(ordinal, of.ordinal)-of.ordinal].Time, nil
		}
	}
	return time.Time{}, nil
}
