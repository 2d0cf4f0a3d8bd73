package queue

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/evid/evid"
)

const (
	// saveInterval is how far apart saves are that nobody waits for: what was
	// delivered since the last is delivered again after a crash.
	saveInterval = 100 * time.Millisecond
	// retryInterval is how far apart they are while the store takes nothing.
	retryInterval = 500 * time.Millisecond
	// trimInterval is how often the event log is trimmed.
	trimInterval = time.Second
	// minJournal is how large the state log may grow until all is written anew.
	minJournal = 1 << 20
)

// A saver writes what becomes of subscribers to the state log, and dead letters to
// theirs before that. One goroutine does, which the queue stops and waits for.
type saver struct {
	wake chan struct{}
	stop chan struct{}
	done chan struct{}

	mu      sync.Mutex
	changed []*list    // since the last save
	urgent  *savedWait // who waits for the next save; nil: nobody

	failing atomic.Bool // the last save failed

	// Of the goroutine.
	last       [Journals]uint64 // positions of the newest entries
	save       uint64           // number of the last save
	anew       bool             // the next save has all
	checkpoint int              // bytes of the last that had all
	journal    int              // bytes since then
	err        error            // of the last save
	dormant    []*Cursor        // not opened since the restart, and to expire
	applied    uint64           // what is in the event log up to there is in what was saved
	saved      time.Time
	trimmed    time.Time
	unsure     bool // an entry of dead letters was not confirmed
}

// A savedWait is a save that somebody waits for.
type savedWait struct {
	done chan struct{}
	err  error
}

func (s *saver) init() {
	s.wake = make(chan struct{}, 1)
	s.stop = make(chan struct{})
	s.done = make(chan struct{})
}

// add notes that a list has changed.
func (s *saver) add(l *list) {
	s.mu.Lock()
	s.changed = append(s.changed, l)
	s.mu.Unlock()
	s.poke()
}

func (s *saver) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// sync waits until all that has changed up to now is saved.
func (s *saver) sync() error {
	s.mu.Lock()
	if s.urgent == nil {
		s.urgent = &savedWait{done: make(chan struct{})}
	}
	w := s.urgent
	s.mu.Unlock()
	s.poke()
	select {
	case <-w.done:
	case <-s.done: // that was the last save: it may have been the one
		select {
		case <-w.done:
		default:
			return evid.ErrClosed
		}
	}
	return w.err
}

// take returns what has changed and who waits for it to be saved.
func (s *saver) take() (changed []*list, urgent *savedWait) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed, urgent = s.changed, s.urgent
	s.changed, s.urgent = nil, nil
	return changed, urgent
}

// isUrgent reports whether somebody waits, and whether there is anything to save.
func (s *saver) isUrgent() (urgent, changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.urgent != nil, s.urgent != nil || s.anew || len(s.changed) > 0
}

// run saves until it is stopped, and then once more.
func (d *disk) run() {
	s := &d.saver
	defer close(s.done)
	timer := time.NewTimer(trimInterval)
	defer timer.Stop()
	for {
		select {
		case <-s.wake:
		case <-timer.C:
		case <-s.stop:
			d.saveNow()
			return
		}
		timer.Reset(d.turn())
	}
}

// turn does what is due, and returns when something is due next.
func (d *disk) turn() time.Duration {
	s := &d.saver
	wait := saveInterval
	if s.anew {
		wait = retryInterval
	}
	urgent, changed := s.isUrgent()
	next := trimInterval
	switch since := time.Since(s.saved); {
	case !changed:
	case since >= wait, urgent && (!s.anew || d.store.Health() == nil):
		d.saveNow()
	default:
		if urgent { // else one that comes just now would be told that it is saved
			s.refuse()
		}
		next = wait - since
		if !d.crowded.Load() { // a small disk may be full before that
			return next
		}
	}
	if changed {
		d.forgetLetters()
	}
	d.unstick()
	d.settle()
	if d.crowded.Swap(false) || time.Since(s.trimmed) >= trimInterval || d.store.Health() != nil {
		d.trim()
		d.closeDormant()
	}
	return next
}

// refuse tells who waits for a save that it fails, as the last one did: to find out anew
// for each takes long if there is much to save.
func (s *saver) refuse() {
	s.mu.Lock()
	urgent := s.urgent
	s.urgent = nil
	s.mu.Unlock()
	if urgent != nil {
		urgent.err = s.err
		close(urgent.done)
	}
}

// saveNow saves what has changed, and tells who waits for it.
func (d *disk) saveNow() {
	s := &d.saver
	applied := d.applied.Load() // first: the lists that have changed by that are in what is taken
	changed, urgent := s.take()
	err := d.saveChanged(changed, applied)
	s.saved = time.Now()
	s.anew, s.err = err != nil, err
	s.failing.Store(err != nil)
	if err != nil {
		d.queue.counters.saveFailures.Add(1)
	}
	if urgent != nil {
		urgent.err = err
		close(urgent.done)
	}
}

// saveChanged writes a save. The lists have what is in the event log up to applied.
func (d *disk) saveChanged(changed []*list, applied uint64) error {
	if err := d.settleLetters(); err != nil {
		return fmt.Errorf("save dead letters: %w", err)
	}
	s := &d.saver
	s.save++
	w := &stateWriter{save: s.save}
	all := s.anew || s.journal > max(minJournal, 4*s.checkpoint)
	m := meta{applied: applied, time: time.Now()}
	if all {
		changed = d.queue.allLists()
		w.add(func(dst []byte) []byte { return append(dst, byte(checkpointRecord)) })
	}
	for _, l := range changed {
		l.save(w, all)
	}
	letters := d.queue.letters.unsavedNow(all)
	w.numbers(lettersRecord, letters.removed)
	d.describe(&m, letters)
	w.add(func(dst []byte) []byte { return appendMeta(dst, &m) })
	w.end()
	if err := d.saveLetters(letters); err != nil {
		return fmt.Errorf("save dead letters: %w", err)
	}
	if err := d.saveState(w, all); err != nil {
		return fmt.Errorf("save subscribers: %w", err)
	}
	for _, l := range changed {
		l.savedNeed = l.savingNeed
	}
	s.applied = m.applied
	return nil
}

// describe fills in what is saved of the queue itself.
func (d *disk) describe(m *meta, letters unsavedLetters) {
	q := d.queue
	m.epoch = q.epoch
	m.lastLetter, m.replayed, m.purged = letters.last, letters.replayed, letters.purged
	d.mu.Lock()
	defer d.mu.Unlock()
	m.nextID = d.nextID
}

// settleLetters throws away an entry that was not confirmed and is there after all: its
// letters are saved again, or are no more.
func (d *disk) settleLetters() error {
	s := &d.saver
	if !s.unsure {
		return nil
	}
	info, err := d.store.Info(LetterLog)
	if err != nil {
		return err
	}
	for pos := s.last[LetterLog] + 1; pos <= info.Last; pos++ {
		if err := d.store.Delete(LetterLog, pos); err != nil {
			return err
		}
	}
	s.last[LetterLog], s.unsure = info.Last, false
	return nil
}

// saveLetters writes the dead letters that are new or have changed.
func (d *disk) saveLetters(letters unsavedLetters) error {
	for _, entry := range letters.entries {
		pos, err := d.append(LetterLog, entry.data)
		if err != nil {
			return err
		}
		d.queue.letters.savedAt(entry, pos)
	}
	return nil
}

// saveState writes the entries of a save; if it has all, those before are thrown away.
func (d *disk) saveState(w *stateWriter, all bool) error {
	s := &d.saver
	bytes := 0
	first := uint64(0)
	for _, entry := range w.entries {
		pos, err := d.append(StateLog, entry)
		if err != nil {
			return err
		}
		if first == 0 {
			first = pos
		}
		bytes += len(entry)
	}
	if !all {
		s.journal += bytes
		return nil
	}
	s.checkpoint, s.journal = bytes, 0
	if err := d.store.Trim(StateLog, first); err != nil {
		d.log.Debug("the state was not trimmed", "err", err) // the next that has all does it
	}
	return nil
}

// append adds an entry to a journal that only the saver writes. A save that was not
// confirmed and is there after all does no harm: the next one has all.
func (d *disk) append(j Journal, entry []byte) (pos uint64, err error) {
	last := &d.saver.last[j]
	pos, err = d.store.Append(j, *last, entry)
	if errors.Is(err, ErrMoved) {
		info, infoErr := d.store.Info(j)
		if infoErr != nil {
			return 0, infoErr
		}
		*last = info.Last
		pos, err = d.store.Append(j, *last, entry)
	}
	if err == nil {
		*last = pos
	}
	if j == LetterLog && errors.Is(err, ErrUnconfirmed) {
		d.saver.unsure = true
	}
	return pos, err
}

// save writes what has changed of a list, or all.
func (l *list) save(w *stateWriter, all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	cursors := l.changedCursors
	if all {
		cursors = l.cursorsLocked()
	}
	for _, c := range cursors {
		c.changed = false
		if !c.ended {
			state := c.stateLocked()
			w.add(func(dst []byte) []byte { return appendCursorState(dst, &state) })
		}
	}
	w.numbers(goneRecord, l.gone)
	state := listState{l.name, l.ring.tail, l.retired}
	w.add(func(dst []byte) []byte { return appendListState(dst, &state) })
	l.savingNeed = l.lagsLocked(func(g *lag) {
		w.add(func(dst []byte) []byte { return appendLag(dst, g) })
	})
	l.changed, l.changedCursors, l.gone = false, nil, nil
}

// lagsLocked calls each for the cursors that are not at the tail. It returns the
// position of the first chunk that any of them needs.
func (l *list) lagsLocked(each func(*lag)) (need uint64) {
	need = math.MaxUint64
	if l.atTail == len(l.cursors) {
		return need
	}
	for _, c := range l.cursors {
		if c.pos == nowhere || c.pos == l.ring.tail {
			continue
		}
		at := c.placeLocked()
		g := lag{c.id, c.pos, c.ahead, at.pos, at.id}
		need = min(need, g.readAt)
		each(&g)
	}
	return need
}

// placeLocked is where the cursor's next event is in the event log, or before that.
func (c *Cursor) placeLocked() mark {
	l := c.list
	if c.pos >= l.ring.head {
		e := l.ring.at(c.pos)
		return mark{c.pos, e.pos, e.event.ID}
	}
	at := l.marks.before(c.pos)
	if c.extra != nil {
		at.pos = max(at.pos, c.extra.readAt)
	}
	return at
}

func (l *list) cursorsLocked() []*Cursor {
	cursors := make([]*Cursor, 0, len(l.cursors))
	for _, c := range l.cursors {
		cursors = append(cursors, c)
	}
	return cursors
}

func (c *Cursor) stateLocked() cursorState {
	s := cursorState{
		id: c.id, event: c.list.name, key: c.sub.Socket.Key(), text: c.sub.Socket.String(), open: c.open,
		script: c.sub.Script, expire: c.sub.Expire, expires: c.sub.Expires, accepted: c.accepted, end: c.firstEndLocked(),
	}
	if e := c.extra; e != nil {
		s.discarded, s.counts, s.later = e.discarded, e.counts, slices.Clone(e.later)
	}
	return s
}

// changedLocked notes that there is something to save of the list.
func (l *list) changedLocked() {
	if d := l.queue.disk; d != nil && !l.changed {
		l.changed = true
		d.saver.add(l)
	}
}

// changedLocked notes that there is more to save of the cursor than its place.
func (c *Cursor) changedLocked() {
	l := c.list
	if l.queue.disk == nil {
		return
	}
	if !c.changed {
		c.changed = true
		l.changedCursors = append(l.changedCursors, c)
	}
	l.changedLocked()
}

// forgetLetters deletes entries of the letter log that have nothing any more.
func (d *disk) forgetLetters() {
	letters := &d.queue.letters
	before, others := letters.deadEntries()
	if before > 0 {
		if err := d.store.Trim(LetterLog, before); err != nil {
			d.log.Debug("the dead letters were not trimmed", "err", err)
			return
		}
	}
	for i, pos := range others {
		if err := d.store.Delete(LetterLog, pos); err != nil {
			d.log.Debug("a dead letter was not deleted", "err", err)
			others = others[:i]
			break
		}
	}
	letters.forgotten(before, others)
}
