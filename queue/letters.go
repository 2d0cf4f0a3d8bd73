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

	mu       sync.Mutex
	kept     []*evid.DeadLetter // they do not change any more
	bytes    int
	last     uint64 // the highest number that was given
	purged   uint64 // thrown away, on demand or for want of room
	replayed uint64 // delivered after all
}

// letterSize is the memory that a letter takes, about.
func letterSize(d *evid.DeadLetter) int {
	const perLetter = 320
	size := perLetter + len(d.Reason)
	if d.Raised != nil {
		size += eventSize(d.Raised)
	}
	return size
}

func byNumber(d *evid.DeadLetter, number uint64) int { return cmp.Compare(d.Number, number) }

// add keeps a letter and returns its number. One that has a number already goes
// back to its place.
func (l *letters) add(d evid.DeadLetter) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.Number == 0 {
		l.last++
		d.Number = l.last
	}
	at, _ := slices.BinarySearchFunc(l.kept, d.Number, byNumber)
	l.kept = slices.Insert(l.kept, at, &d)
	l.bytes += letterSize(&d)
	for len(l.kept) > l.maxCount || l.bytes > l.maxBytes && len(l.kept) > 1 {
		l.bytes -= letterSize(l.kept[0])
		l.kept[0] = nil
		l.kept = l.kept[1:]
		l.purged++
	}
	return d.Number
}

// extend makes the letter of that number one about more events: those of d. It
// reports whether the letter is still there.
func (l *letters) extend(number uint64, d evid.DeadLetter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, found := slices.BinarySearchFunc(l.kept, number, byNumber)
	if !found {
		return false
	}
	extended := *l.kept[at]
	extended.Count += d.Count
	extended.Last, extended.LastID = d.Last, d.LastID
	l.kept[at] = &extended
	return true
}

// take removes the letters that are chosen and returns them.
func (l *letters) take(chosen func(*evid.DeadLetter) bool) []*evid.DeadLetter {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.takeLocked(chosen)
}

func (l *letters) takeLocked(chosen func(*evid.DeadLetter) bool) []*evid.DeadLetter {
	var taken, left []*evid.DeadLetter
	for _, d := range l.kept {
		if chosen(d) {
			taken = append(taken, d)
			l.bytes -= letterSize(d)
		} else {
			left = append(left, d)
		}
	}
	l.kept = left
	return taken
}

func (l *letters) purge(f evid.DeadLetterFilter) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.takeLocked(f.Matches))
	l.purged += uint64(n)
	return n
}

func (l *letters) delivered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replayed++
}

// list returns the letters that f chooses, the oldest first.
func (l *letters) list(f evid.DeadLetterFilter) []*evid.DeadLetter {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []*evid.DeadLetter
	for _, d := range l.kept {
		if f.Matches(d) {
			list = append(list, d)
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
