package queue

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/evid/evid"
)

const (
	// maxLetterEntry bounds the entries of the letter log; a single letter may be larger.
	maxLetterEntry = 128 << 10
	// maxDeletes bounds the entries that are deleted after a save.
	maxDeletes = 64
)

// A letterLog is what letters have more that are saved. A letter that has changed is
// saved again; of several with one number the last counts. An entry without a letter
// that counts is deleted.
type letterLog struct {
	unsaved []*letter // new or changed, the oldest first; some may be removed since
	removed []uint64  // numbers that were removed since the last save, and are in the log
	entries map[uint64]*letterEntry
	hasDead bool   // of the entries, some may have nothing any more
	through uint64 // all letters up to this number are saved
}

// A letterEntry is an entry of the letter log that has letters.
type letterEntry struct {
	alive   int
	removed []uint64 // numbers of those that are no more
}

// unsavedLetters is what is to be saved.
type unsavedLetters struct {
	entries                []unsavedEntry
	removed                []uint64
	last, replayed, purged uint64
}

// An unsavedEntry has letters as they were when it was made.
type unsavedEntry struct {
	data     []byte
	letters  []*letter
	versions []uint32
}

// touchLocked notes that a letter is new or has changed.
func (l *letters) touchLocked(d *letter) {
	if l.log == nil {
		return
	}
	d.version++
	if !d.unsaved {
		d.unsaved = true
		l.log.unsaved = append(l.log.unsaved, d)
	}
}

// leaveLogLocked notes that a letter is no more.
func (l *letters) leaveLogLocked(d *letter) {
	d.gone = true
	if l.log == nil || d.pos == 0 {
		return
	}
	l.log.loseLocked(d.pos)
	for _, pos := range append(d.older, d.pos) {
		if entry := l.log.entries[pos]; entry != nil {
			entry.removed = append(entry.removed, d.Number)
		}
	}
	l.log.removed = append(l.log.removed, d.Number)
}

// loseLocked counts one letter less in an entry.
func (log *letterLog) loseLocked(pos uint64) {
	entry := log.entries[pos]
	entry.alive--
	log.hasDead = log.hasDead || entry.alive == 0
}

// unsavedNow returns what is to be saved; with all, all numbers that do not count.
func (l *letters) unsavedNow(all bool) unsavedLetters {
	l.mu.Lock()
	defer l.mu.Unlock()
	log := l.log
	unsaved := unsavedLetters{removed: log.removed, last: l.last, replayed: l.replayed, purged: l.purged}
	log.removed = nil
	if all {
		unsaved.removed = nil
		for _, entry := range log.entries {
			unsaved.removed = append(unsaved.removed, entry.removed...)
		}
	}
	log.unsaved = slices.DeleteFunc(log.unsaved, func(d *letter) bool { return d.gone })
	for rest := log.unsaved; len(rest) > 0; {
		entry, n := newUnsavedEntry(rest)
		unsaved.entries = append(unsaved.entries, entry)
		rest = rest[n:]
	}
	return unsaved
}

// newUnsavedEntry makes an entry of the first letters, and returns how many they are.
func newUnsavedEntry(letters []*letter) (entry unsavedEntry, n int) {
	var body []byte
	for n < len(letters) && (n == 0 || len(body) < maxLetterEntry && len(body)+letters[n].size() < MaxEntry/2) {
		body = appendLetter(body, &letters[n].DeadLetter)
		entry.versions = append(entry.versions, letters[n].version)
		n++
	}
	entry.letters = slices.Clone(letters[:n])
	entry.data = seal(append(binary.AppendUvarint([]byte{formatVersion}, uint64(n)), body...))
	return entry, n
}

// savedAt notes that an entry is in the log.
func (l *letters) savedAt(entry unsavedEntry, pos uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	log := l.log
	kept := &letterEntry{}
	log.entries[pos] = kept
	for i, d := range entry.letters {
		if d.pos != 0 && !d.gone { // it is saved anew
			log.loseLocked(d.pos)
			d.older = append(slices.DeleteFunc(d.older, func(pos uint64) bool { return log.entries[pos] == nil }), d.pos)
		}
		switch {
		case d.gone: // meanwhile
			kept.removed = append(kept.removed, d.Number)
			log.removed = append(log.removed, d.Number)
		default:
			kept.alive++
		}
		d.pos = pos
		d.unsaved = d.version != entry.versions[i]
	}
	log.hasDead = log.hasDead || kept.alive == 0
	log.unsaved = slices.DeleteFunc(log.unsaved, func(d *letter) bool { return !d.unsaved })
	log.through = l.last
	if len(log.unsaved) > 0 {
		log.through = log.unsaved[0].Number - 1
	}
}

// savedThrough returns the number up to which all letters are saved.
func (l *letters) savedThrough() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.through
}

// deadEntries returns the entries of the log that have nothing any more: all before
// the one, and some of the others.
func (l *letters) deadEntries() (before uint64, others []uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	log := l.log
	if !log.hasDead {
		return 0, nil
	}
	var dead []uint64
	oldest, newest := uint64(0), uint64(0)
	for pos, entry := range log.entries {
		newest = max(newest, pos)
		switch {
		case entry.alive == 0:
			dead = append(dead, pos)
		case oldest == 0 || pos < oldest:
			oldest = pos
		}
	}
	if oldest == 0 {
		oldest = newest + 1
	}
	for _, pos := range dead {
		switch {
		case pos < oldest:
			before = oldest
		case len(others) < maxDeletes:
			others = append(others, pos)
		}
	}
	return before, others
}

// forgotten notes that entries are no more.
func (l *letters) forgotten(before uint64, others []uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	log := l.log
	for _, pos := range others {
		delete(log.entries, pos)
	}
	log.hasDead = false
	for pos, entry := range log.entries {
		if pos < before {
			delete(log.entries, pos)
		} else if entry.alive == 0 {
			log.hasDead = true
		}
	}
}

func appendLetter(dst []byte, d *evid.DeadLetter) []byte {
	dst = binary.AppendUvarint(dst, d.Number)
	for _, text := range [...]string{d.Event, d.Socket.Key(), d.Socket.String(), d.Reason} {
		dst = appendText(dst, text)
	}
	dst = binary.AppendUvarint(dst, uint64(d.Attempts))
	dst = appendTime(appendTime(dst, d.First), d.Last)
	dst = binary.AppendUvarint(dst, d.Count)
	dst = appendID(appendID(dst, d.FirstID), d.LastID)
	dst = appendBool(dst, d.Raised != nil)
	if e := d.Raised; e != nil {
		dst = append(appendTime(appendID(dst, e.ID), e.Time), e.Hops)
		dst = appendParams(dst, e.Params)
	}
	return dst
}

func (s *scanner) letter() *letter {
	d := &letter{DeadLetter: evid.DeadLetter{
		Number: s.uvarint(), Event: s.text(), Socket: &savedSocket{s.text(), s.text()}, Reason: s.text(),
		Attempts: s.int(), First: s.time(), Last: s.time(), Count: s.uvarint(), FirstID: s.id(), LastID: s.id(),
	}}
	if s.bool() {
		d.Raised = &evid.Event{ID: s.id(), Name: d.Event, Time: s.time(), Hops: s.byte(), Params: s.params()}
	}
	return d
}

func readLetterEntry(entry Entry) ([]*letter, error) {
	const leastLetter = 24
	s, err := scan(entry, formatVersion)
	if err == nil {
		letters := make([]*letter, s.count(leastLetter))
		for i := range letters {
			letters[i] = s.letter()
		}
		if err = s.end(); err == nil {
			return letters, nil
		}
	}
	return nil, fmt.Errorf("read entry %d of the dead letters: %w", entry.Pos, err)
}

// A savedSocket is a socket as it was saved, of which nobody has said yet what it is.
type savedSocket struct{ key, text string }

// Key implements [evid.Socket].
func (s *savedSocket) Key() string { return s.key }

func (s *savedSocket) String() string { return s.text }
