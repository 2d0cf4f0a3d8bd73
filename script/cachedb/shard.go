package cachedb

import (
	"container/heap"
	"strconv"
	"strings"
	"sync"
	"time"
)

// shards is how many parts a collection has, each with a lock of its own, so that calls from
// many cores seldom meet.
const shards = 64

// dropPerCall bounds how many expired entries one call gives back. As a call makes one entry
// at most, what has expired shrinks all the same.
const dropPerCall = 8

// A shard is the part of a collection whose keys have the same hash.
type shard struct {
	mu       sync.Mutex
	entries  map[string]*entry
	expiring expiryHeap
	_        [24]byte // no two locks in one line of a processor's cache
}

// An entry is a text, or an integer once something was added to it.
type entry struct {
	key     string
	text    string
	n       int64
	expires time.Duration // since Store.start; 0: never
	place   int32         // in shard.expiring, if it expires
	counter bool          // the value is n
}

// value is the value as a text. The text of a counter is not kept.
func (e *entry) value() string {
	if e.counter {
		return strconv.FormatInt(e.n, 10)
	}
	return e.text
}

func (e *entry) integer() (int64, error) {
	if e.counter {
		return e.n, nil
	}
	n, err := strconv.ParseInt(e.text, 10, 64)
	if err != nil {
		return 0, ErrNotInteger
	}
	return n, nil
}

func (e *entry) expired(now time.Duration) bool { return e.expires != 0 && e.expires <= now }

func (sh *shard) store(s *Store, key, value string, expire time.Duration) error {
	now := s.now()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.lookLocked(s, key, now)
	if e == nil {
		e = sh.newLocked(s, key, len(value))
	} else if !s.take(0, int64(len(value)-len(e.text))) {
		e = nil
	}
	if e == nil {
		return ErrFull
	}
	// A copy, as the value can be a piece of something larger.
	e.text, e.counter = strings.Clone(value), false
	sh.expireLocked(e, now, expire)
	return nil
}

func (sh *shard) fetch(s *Store, key string) (value string, found bool) {
	now := s.now()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.lookLocked(s, key, now)
	if e == nil {
		return "", false
	}
	return e.value(), true
}

func (sh *shard) fetchCounter(s *Store, key string) (n int64, found bool, err error) {
	now := s.now()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.lookLocked(s, key, now)
	if e == nil {
		return 0, false, nil
	}
	n, err = e.integer()
	return n, true, err
}

func (sh *shard) remove(s *Store, key string) bool {
	now := s.now()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.lookLocked(s, key, now)
	if e == nil {
		return false
	}
	sh.dropLocked(s, e)
	return true
}

func (sh *shard) add(s *Store, key string, n int64, expire time.Duration) (sum int64, err error) {
	now := s.now()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.lookLocked(s, key, now)
	if e == nil {
		if e = sh.newLocked(s, key, 0); e == nil {
			return 0, ErrFull
		}
		e.n, e.counter = n, true
		sh.expireLocked(e, now, expire)
		return n, nil
	}
	old, err := e.integer()
	if err != nil {
		return 0, err
	}
	sum = old + n
	if (sum > old) != (n > 0) && n != 0 {
		return 0, ErrOverflow
	}
	if !e.counter {
		s.take(0, -int64(len(e.text)))
		e.text, e.counter = "", true
	}
	e.n = sum
	return sum, nil
}

// lookLocked returns the entry of a key, nil if there is none or it has expired. It gives
// back some of what has.
func (sh *shard) lookLocked(s *Store, key string, now time.Duration) *entry {
	sh.dropExpiredLocked(s, now)
	e := sh.entries[key]
	if e != nil && e.expired(now) {
		sh.dropLocked(s, e)
		return nil
	}
	return e
}

// newLocked returns a new entry for a key, nil if there is no room for it and its text.
func (sh *shard) newLocked(s *Store, key string, text int) *entry {
	if !s.take(1, int64(entryCost+len(key)+text)) {
		return nil
	}
	if sh.entries == nil {
		sh.entries = make(map[string]*entry)
	}
	e := &entry{key: strings.Clone(key)}
	sh.entries[e.key] = e
	return e
}

func (sh *shard) dropLocked(s *Store, e *entry) {
	if e.expires != 0 {
		heap.Remove(&sh.expiring, int(e.place))
	}
	delete(sh.entries, e.key)
	s.take(-1, -int64(entryCost+len(e.key)+len(e.text)))
}

// dropExpiredLocked drops up to dropPerCall entries that have expired, and says whether there
// were any.
func (sh *shard) dropExpiredLocked(s *Store, now time.Duration) bool {
	dropped := 0
	for dropped < dropPerCall && len(sh.expiring) > 0 && sh.expiring[0].expired(now) {
		sh.dropLocked(s, sh.expiring[0])
		dropped++
	}
	return dropped > 0
}

// expireLocked sets the time that an entry lives from now on; 0: for ever.
func (sh *shard) expireLocked(e *entry, now, expire time.Duration) {
	switch {
	case expire != 0 && e.expires != 0:
		e.expires = now + expire
		heap.Fix(&sh.expiring, int(e.place))
	case expire != 0:
		e.expires = now + expire
		heap.Push(&sh.expiring, e)
	case e.expires != 0:
		heap.Remove(&sh.expiring, int(e.place))
		e.expires = 0
	}
}

// An expiryHeap is a [heap.Interface] with the entry that expires first at index 0.
type expiryHeap []*entry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].expires < h[j].expires }

func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = int32(i), int32(j)
}

// Push adds an entry at the end.
func (h *expiryHeap) Push(x any) {
	e := x.(*entry)
	e.place = int32(len(*h))
	*h = append(*h, e)
}

// Pop removes the entry at the end.
func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}
