package queue

import (
	"cmp"
	"slices"
	"sync"

	"github.com/evid/evid"
)

// letters are the dead letters that are kept, in the order of their numbers.
type letters struct {
	maxCount, maxBytes int
	log                *letterLog // nil: they are in memory only

	mu       sync.Mutex
	kept     []*letter
	bytes    int
	last     uint64 // the highest number that was given
	purged   uint64 // thrown away, on demand or for want of room
	replayed uint64 // delivered after all
}

// A letter is a dead letter that is kept. Its event, subscriber and number do not
// change.
type letter struct {
	evid.DeadLetter
	replaying bool // a cursor has it
	gone      bool // it is no longer kept

	// Of one that is saved; see letterLog.
	pos     uint64   // of its entry in the letter log; 0: it is not there yet
	older   []uint64 // of entries that have it as it was before, and may still be there
	version uint32   // counts its changes
	unsaved bool     // it is new or has changed
}

// size is the memory that a letter takes, about.
func (d *letter) size() int {
	const perLetter = 320
	size := perLetter + len(d.Reason)
	if d.Raised != nil {
		size += eventSize(d.Raised)
	}
	return size
}

// add keeps a letter and returns its number.
func (l *letters) add(d evid.DeadLetter) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	d.Number = l.last
	added := &letter{DeadLetter: d}
	l.kept = append(l.kept, added)
	l.bytes += added.size()
	l.touchLocked(added)
	l.boundLocked()
	return d.Number
}

// boundLocked purges the oldest letters that there is no room for.
func (l *letters) boundLocked() {
	for len(l.kept) > l.maxCount || l.bytes > l.maxBytes && len(l.kept) > 1 {
		l.removeLocked(0)
		l.purged++
	}
}

func (l *letters) removeLocked(at int) {
	l.bytes -= l.kept[at].size()
	l.leaveLogLocked(l.kept[at])
	if at == 0 {
		l.kept[0] = nil
		l.kept = l.kept[1:]
		return
	}
	l.kept = slices.Delete(l.kept, at, at+1)
}

// findLocked returns where the letter of that number is.
func (l *letters) findLocked(number uint64) (at int, found bool) {
	return slices.BinarySearchFunc(l.kept, number, func(d *letter, number uint64) int { return cmp.Compare(d.Number, number) })
}

// has reports whether the letter of that number is kept.
func (l *letters) has(number uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, found := l.findLocked(number)
	return found
}

// extend makes the letter of that number one about more events: those of d. It
// reports whether the letter is still there.
func (l *letters) extend(number uint64, d evid.DeadLetter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, found := l.findLocked(number)
	if found {
		kept := l.kept[at]
		kept.Count += d.Count
		kept.Last, kept.LastID = d.Last, d.LastID
		l.touchLocked(kept)
	}
	return found
}

// beginReplay gives a letter to a cursor. It reports false if one has it already.
func (l *letters) beginReplay(d *letter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.replaying {
		return false
	}
	d.replaying = true
	return true
}

// endReplay takes a letter back as it is.
func (l *letters) endReplay(d *letter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d.replaying = false
}

// delivered is told that a replay has succeeded.
func (l *letters) delivered(d *letter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replayed++
	if at, found := l.findLocked(d.Number); found {
		l.removeLocked(at)
	}
}

// failed is told that a replay has failed.
func (l *letters) failed(d *letter, o *Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d.replaying = false
	if _, found := l.findLocked(d.Number); !found {
		return // purged since
	}
	l.bytes -= d.size()
	d.Reason, d.Last = o.Reason, o.Last
	d.Attempts += o.Attempts
	l.bytes += d.size()
	l.touchLocked(d)
	l.boundLocked()
}

// purge throws away the letters that f chooses.
func (l *letters) purge(f evid.DeadLetterFilter) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.kept)
	l.kept = slices.DeleteFunc(l.kept, func(d *letter) bool {
		chosen := f.Matches(&d.DeadLetter)
		if chosen {
			l.bytes -= d.size()
			l.leaveLogLocked(d)
		}
		return chosen
	})
	n := before - len(l.kept)
	l.purged += uint64(n)
	return n
}

// choose returns the letters that f chooses, the oldest first.
func (l *letters) choose(f evid.DeadLetterFilter) []*letter {
	l.mu.Lock()
	defer l.mu.Unlock()
	var chosen []*letter
	for _, d := range l.kept {
		if f.Matches(&d.DeadLetter) {
			chosen = append(chosen, d)
		}
	}
	return chosen
}

// list returns the letters that f chooses, the oldest first, as they are now.
func (l *letters) list(f evid.DeadLetterFilter) []evid.DeadLetter {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []evid.DeadLetter
	for _, d := range l.kept {
		if f.Matches(&d.DeadLetter) {
			list = append(list, d.DeadLetter)
		}
	}
	return list
}

// A LetterCounts is what became of dead letters.
type LetterCounts struct {
	Kept     uint64
	Replayed uint64 // delivered after all
	Purged   uint64 // thrown away, on demand or for want of room
}

func (l *letters) counts() LetterCounts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return LetterCounts{uint64(len(l.kept)), l.replayed, l.purged}
}
