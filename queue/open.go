package queue

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/evid/evid"
)

// Open returns a queue that keeps its events in a store, with what it has kept before.
// Its subscribers get nothing until they are opened again: see [Queue.Restored]. The
// queue saves while it runs: it has to be closed, and the store after it.
func Open(params Params, deliverer Deliverer, store Store, log *slog.Logger) (*Queue, error) {
	q := New(params, deliverer)
	q.memory = standardMemory()
	d := &disk{queue: q, store: store, log: log, chunks: chunks{store: store, log: log, reading: make(chan struct{}, readers)}}
	q.disk = d
	q.letters.log = &letterLog{entries: make(map[uint64]*letterEntry)}
	d.saver.init()
	if err := d.load(); err != nil {
		return nil, err
	}
	go d.run()
	return q, nil
}

// close saves for the last time.
func (d *disk) close() error {
	const longest = 3 * time.Second
	close(d.saver.stop)
	timer := time.NewTimer(longest)
	defer timer.Stop()
	select {
	case <-d.saver.done:
		return d.saver.err
	case <-timer.C: // it ends by itself, when the store answers
		return fmt.Errorf("save subscribers: %w within %v", ErrUnconfirmed, longest)
	}
}

// load reads all journals.
func (d *disk) load() error {
	l := newLoading(d)
	if err := d.readAll(StateLog, l.addState); err != nil {
		return err
	}
	info, err := d.store.Info(EventLog)
	if err != nil {
		return err
	}
	if !l.complete && info.Last > 0 {
		d.log.Error("subscribers lost: the queue has events on disk, but not who is subscribed", "chunks", info.Entries)
	}
	if err := d.readAll(LetterLog, l.addLetters); err != nil {
		return err
	}
	d.setLimits(info)
	if err := d.readLogged(info); err != nil {
		return err
	}
	l.build(info)
	if err := d.readFrom(EventLog, d.applied.Load()+1, func(e Entry) { d.takeEntry(e) }); err != nil {
		return err
	}
	d.closeOverdue()
	d.saver.anew = true
	d.saveNow() // with the epoch: no id is given twice
	if d.saver.anew {
		return d.saver.err
	}
	d.trim()
	return nil
}

// readLogged reads how many events there are from the newest chunk.
func (d *disk) readLogged(info JournalInfo) error {
	if info.First > info.Last {
		return nil
	}
	var newest [1]Entry
	n, err := d.store.Read(EventLog, info.Last, newest[:])
	if err != nil || n == 0 {
		return err
	}
	if header, err := readChunkHeader(newest[0]); err == nil { // else it is told when it is read
		d.logged.Store(header.before + uint64(header.events))
	}
	return nil
}

// readAll reads a journal from its beginning.
func (d *disk) readAll(j Journal, each func(Entry)) error {
	info, err := d.store.Info(j)
	if err != nil {
		return err
	}
	d.saver.last[j] = info.Last
	return d.readFrom(j, info.First, each)
}

func (d *disk) readFrom(j Journal, from uint64, each func(Entry)) error {
	for {
		var entries [64]Entry
		n, err := d.store.Read(j, from, entries[:])
		if err != nil || n == 0 {
			return err
		}
		for _, e := range entries[:n] {
			each(e)
		}
		from = entries[n-1].Pos + 1
	}
}

// A loading is what is read of the state, before lists and cursors are made of it.
type loading struct {
	disk     *disk
	save     uint64
	pending  []any // records of a save whose end has not come yet
	parts    uint64
	complete bool // there was a whole save

	meta    meta
	applied uint64 // number of the save that was applied last
	gap     bool   // one between is missing: lists may lack what is in the event log since
	lists   map[string]*loadedList
	cursors map[uint64]*loadedCursor
	removed map[uint64]bool // numbers of dead letters
	letters map[uint64]*letter
	last    uint64 // the highest number of a letter
}

type loadedList struct {
	listState
	cursors map[uint64]*loadedCursor
}

type loadedCursor struct {
	cursorState
	lag *lag // nil: it is at the tail
}

func newLoading(d *disk) *loading {
	l := &loading{disk: d, letters: make(map[uint64]*letter)}
	l.clear()
	return l
}

func (l *loading) clear() {
	l.lists = make(map[string]*loadedList)
	l.cursors = make(map[uint64]*loadedCursor)
	l.removed = make(map[uint64]bool)
}

// addState takes an entry of the state log.
func (l *loading) addState(entry Entry) {
	e, err := readStateEntry(entry)
	if err != nil {
		l.disk.log.Error("changes of subscribers lost: what the queue has on disk is damaged", "err", err)
		return
	}
	if e.save != l.save {
		l.save, l.pending, l.parts = e.save, nil, 0
	}
	if e.part != l.parts {
		return // one is missing: the save does not count
	}
	l.parts++
	l.pending = append(l.pending, e.records...)
	if n := len(l.pending); n > 0 {
		if _, ended := l.pending[n-1].(*meta); ended {
			_, all := l.pending[0].(checkpoint)
			l.gap = !all && (l.gap || e.save != l.applied+1)
			l.applied = e.save
			l.applyAll()
		}
	}
}

// applyAll applies a save.
func (l *loading) applyAll() {
	var of *loadedList // the lags are of this list
	for _, r := range l.pending {
		switch r := r.(type) {
		case checkpoint:
			l.clear()
		case *cursorState:
			l.addCursor(r)
		case gone:
			l.removeCursors(r)
		case *listState:
			of = l.list(r.name)
			of.listState = *r
			for _, c := range of.cursors {
				c.lag = nil
			}
		case *lag:
			if c := l.cursors[r.id]; c != nil && of != nil {
				c.lag = r
			}
		case removed:
			for _, number := range r {
				l.removed[number] = true
			}
		case *meta:
			applied := l.meta.applied
			l.meta, l.complete = *r, true
			if l.gap {
				l.meta.applied = applied
			}
		}
	}
	l.pending = nil
}

func (l *loading) list(name string) *loadedList {
	of := l.lists[name]
	if of == nil {
		of = &loadedList{listState: listState{name: name}, cursors: make(map[uint64]*loadedCursor)}
		l.lists[name] = of
	}
	return of
}

func (l *loading) addCursor(s *cursorState) {
	c := l.cursors[s.id]
	if c == nil {
		c = &loadedCursor{}
		l.cursors[s.id] = c
		l.list(s.event).cursors[s.id] = c
	}
	c.cursorState = *s
}

func (l *loading) removeCursors(ids []uint64) {
	for _, id := range ids {
		if c := l.cursors[id]; c != nil {
			delete(l.cursors, id)
			delete(l.list(c.event).cursors, id)
		}
	}
}

// addLetters takes an entry of the letter log. Those after the last that the state
// knows of belong to what was not saved: their events come again.
func (l *loading) addLetters(entry Entry) {
	letters, err := readLetterEntry(entry)
	if err != nil {
		l.disk.log.Error("dead letters lost: what the queue has on disk is damaged", "err", err)
		return
	}
	log := l.disk.queue.letters.log
	kept := &letterEntry{}
	log.entries[entry.Pos] = kept
	for _, d := range letters {
		l.last = max(l.last, d.Number)
		if l.complete && d.Number > l.meta.lastLetter || l.removed[d.Number] {
			kept.removed = append(kept.removed, d.Number)
			continue
		}
		if older := l.letters[d.Number]; older != nil {
			log.loseLocked(older.pos)
			d.older = append(older.older, older.pos)
		}
		kept.alive++
		d.pos = entry.Pos
		l.letters[d.Number] = d
	}
	log.hasDead = log.hasDead || kept.alive == 0
}

// build makes lists, cursors and dead letters of what was read.
func (l *loading) build(events JournalInfo) {
	d, q := l.disk, l.disk.queue
	d.saver.save = l.save
	q.epoch = max(q.epoch, l.meta.epoch+1)
	d.nextID = l.meta.nextID
	d.started = laterOf(time.Now(), l.meta.time)
	applied := min(l.meta.applied, events.Last)
	if lost := l.meta.applied - applied; lost > 0 {
		d.log.Error("events lost: the newest are missing on disk", "chunks", lost)
	}
	d.applied.Store(applied)
	d.committer.last = applied
	l.buildLetters()
	for _, name := range slices.Sorted(maps.Keys(l.lists)) {
		l.buildList(l.lists[name], events)
	}
}

func laterOf(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func (l *loading) buildLetters() {
	kept := &l.disk.queue.letters
	kept.last = max(l.last, l.meta.lastLetter)
	kept.log.through = kept.last
	kept.replayed, kept.purged = l.meta.replayed, l.meta.purged
	for _, number := range slices.Sorted(maps.Keys(l.letters)) {
		d := l.letters[number]
		kept.kept = append(kept.kept, d)
		kept.bytes += d.size()
	}
	kept.boundLocked()
}

// buildList makes a list. Of what is in the event log all is read later.
func (l *loading) buildList(from *loadedList, events JournalInfo) {
	q := l.disk.queue
	made := newList(q, from.name)
	made.ring.head, made.ring.tail = from.tail, from.tail
	made.retired = from.retired
	q.lists.Store(made.name, made)
	for _, id := range slices.Sorted(maps.Keys(from.cursors)) {
		made.build(from.cursors[id], events)
	}
}

// build makes a cursor as it was saved, without a reader.
func (l *list) build(from *loadedCursor, events JournalInfo) {
	tail := l.ring.tail
	c := &Cursor{
		list: l, pos: tail, id: from.id, open: from.open, accepted: from.accepted,
		sub: &evid.Subscription{
			Event: l.name, Socket: &savedSocket{from.key, from.text},
			Script: from.script, Expire: from.expire, Expires: from.expires,
		},
	}
	l.cursors[from.key] = c
	if c.open {
		l.open++
	}
	if from.counts != (evid.Counts{}) || from.end != endless || len(from.later) > 0 || from.lag != nil {
		c.extra = &extra{end: from.end, discarded: from.discarded, later: from.later, counts: from.counts}
	}
	if g := from.lag; g != nil {
		c.pos, c.ahead = min(g.pos, tail), g.ahead
		if g.readAt <= events.Last {
			c.extra.readAt = g.readAt
		}
		l.marks.add(mark{ordinal: c.pos, pos: c.extra.readAt, id: g.event})
	}
	l.enterLocked(c.pos)
	if from.discarded {
		c.abandonFirstLocked()
	}
	c.moveLocked(c.pos)
	counts := c.countsLocked()
	c.delivered = counts.Accepted - counts.Dead - counts.Dropped - counts.Abandoned - counts.Waiting
	c.endLocked()
}

// abandonFirstLocked gives up what was handed out when the subscriber unsubscribed.
func (c *Cursor) abandonFirstLocked() {
	end := c.firstEndLocked()
	c.extra.counts.Abandoned += c.waitingLocked(0, end)
	c.ahead = 0
	c.moveLocked(end)
}
