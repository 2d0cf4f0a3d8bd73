package cachedb

import (
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Limits of one entry.
const (
	MaxKey    = 1 << 10   // bytes
	MaxValue  = 512 << 10 // bytes, as the value of an event's parameter
	MaxExpire = math.MaxInt32 * time.Second
)

// entryCost is what an entry takes beside the bytes of its key and value, at most: see
// TestMemory.
const entryCost = 160

// What errors of the methods wrap.
var (
	ErrFull       = errors.New("the cache is full: max_bytes or max_entries of cachedb_local is reached")
	ErrNotInteger = errors.New("the value is no integer of 64 bits")
	ErrOverflow   = errors.New("the sum has more than 64 bits")
)

// A Store is the collections of one process.
type Store struct {
	names map[string]*Collection // by what a script calls them
	all   []*Collection
	seed  maphash.Seed
	start time.Time // what entry.expires counts from

	maxBytes   int64
	maxEntries int64
	bytes      atomic.Int64
	entries    atomic.Int64
	refused    atomic.Uint64
}

// New returns a Store in which every collection is empty. An error is that of a URL whose
// collection there is not.
func New(p Params) (*Store, error) {
	s := &Store{
		names: make(map[string]*Collection),
		seed:  maphash.MakeSeed(),
		start: time.Now(),

		maxBytes:   int64(p.MaxBytes),
		maxEntries: int64(p.MaxEntries),
	}
	if p.MaxEntries == 0 {
		s.maxEntries = math.MaxInt64
	}
	for _, name := range append([]string{defaultCollection}, p.Collections...) {
		c := &Collection{store: s}
		s.all = append(s.all, c)
		s.names["local:"+name] = c
	}
	collections := maps.Clone(s.names)
	s.names["local"] = collections["local:"+defaultCollection]
	for _, u := range p.URLs {
		c := collections["local:"+u.Collection]
		if c == nil {
			return nil, fmt.Errorf("open %s: there is no collection %q: add it to cache_collections", u, u.Collection)
		}
		s.names[strings.TrimSuffix("local:"+u.Group, ":")] = c
	}
	return s, nil
}

// Collection returns what a script calls "local", or "local:x", where x is the group of a
// URL or else the name of a collection. The error says which there are.
func (s *Store) Collection(storage string) (*Collection, error) {
	if c := s.names[storage]; c != nil {
		return c, nil
	}
	known := slices.Sorted(maps.Keys(s.names))
	return nil, fmt.Errorf("there is no storage %q: known are %s", storage, strings.Join(known, ", "))
}

// Stats are what a [Store] keeps, over all its collections. Entries that have expired count
// until their memory comes back.
type Stats struct {
	Entries int64
	Bytes   int64  // as Params.MaxBytes counts them
	Refused uint64 // calls that found no room
}

// Stats returns what the store keeps now.
func (s *Store) Stats() Stats {
	return Stats{Entries: s.entries.Load(), Bytes: s.bytes.Load(), Refused: s.refused.Load()}
}

// now is the time that entry.expires is compared with. It is monotonic.
func (s *Store) now() time.Duration { return time.Since(s.start) }

// take takes room, and says whether there is any. What is given back has a minus.
func (s *Store) take(entries, bytes int64) bool {
	if s.entries.Add(entries) > s.maxEntries && entries > 0 {
		s.entries.Add(-entries)
		return false
	}
	if s.bytes.Add(bytes) > s.maxBytes && bytes > 0 {
		s.bytes.Add(-bytes)
		s.entries.Add(-entries)
		return false
	}
	return true
}

// dropExpired gives back the memory of some entries that have expired, in all collections,
// and says whether there were any.
func (s *Store) dropExpired() bool {
	now, dropped := s.now(), false
	for _, c := range s.all {
		for i := range c.shards {
			sh := &c.shards[i]
			sh.mu.Lock()
			dropped = sh.dropExpiredLocked(s, now) || dropped
			sh.mu.Unlock()
		}
	}
	return dropped
}

// A Collection is keys and their values. Keys have 1 to [MaxKey] bytes.
type Collection struct {
	store  *Store
	shards [shards]shard
}

// Store gives a key a value, which has up to [MaxValue] bytes, in place of the one it had.
// The entry lives for as long as expire says, up to [MaxExpire], and with 0 for ever; what
// it had left before does not matter. The error wraps [ErrFull] if there is no room; the
// key then has the value that it had.
func (c *Collection) Store(key, value string, expire time.Duration) error {
	err := check(key, value, expire)
	if err == nil {
		err = c.roomy(func() error { return c.shard(key).store(c.store, key, value, expire) })
	}
	if err != nil {
		return fmt.Errorf("store %.64q: %w", key, err)
	}
	return nil
}

// Fetch returns the value of a key, if there is one.
func (c *Collection) Fetch(key string) (value string, found bool) {
	return c.shard(key).fetch(c.store, key)
}

// FetchCounter returns the value of a key, if there is one, as an integer. The error wraps
// [ErrNotInteger].
func (c *Collection) FetchCounter(key string) (n int64, found bool, err error) {
	n, found, err = c.shard(key).fetchCounter(c.store, key)
	if err != nil {
		err = fmt.Errorf("fetch %.64q: %w", key, err)
	}
	return n, found, err
}

// Remove removes a key, and says whether there was one.
func (c *Collection) Remove(key string) bool { return c.shard(key).remove(c.store, key) }

// Add adds n to the value of a key and returns the sum; all calls count, however many there
// are at once. Without the key, it is stored with value n, to live for as long as expire
// says, up to [MaxExpire], and with 0 for ever. With the key, expire does not matter, as in
// OpenSIPS: the time that a counter lives begins with its first event, and is not renewed.
//
// The error wraps [ErrNotInteger], [ErrOverflow] or [ErrFull], and the value is then what it
// was. Only a new key needs room.
func (c *Collection) Add(key string, n int64, expire time.Duration) (sum int64, err error) {
	if err = check(key, "", expire); err == nil {
		err = c.roomy(func() (err error) {
			sum, err = c.shard(key).add(c.store, key, n, expire)
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("add %d to %.64q: %w", n, key, err)
	}
	return sum, nil
}

// Sub subtracts n from the value of a key: see [Collection.Add].
func (c *Collection) Sub(key string, n int64, expire time.Duration) (difference int64, err error) {
	if n == math.MinInt64 {
		return 0, fmt.Errorf("subtract %d from %.64q: %w", n, key, ErrOverflow)
	}
	return c.Add(key, -n, expire)
}

// roomy calls what takes room. As long as there is none, expired entries go, a few at a
// time, so that no call has to wait until a million are gone.
func (c *Collection) roomy(f func() error) error {
	for {
		err := f()
		if !errors.Is(err, ErrFull) {
			return err
		}
		if !c.store.dropExpired() {
			c.store.refused.Add(1)
			return err
		}
	}
}

func (c *Collection) shard(key string) *shard {
	return &c.shards[maphash.String(c.store.seed, key)%shards]
}

func check(key, value string, expire time.Duration) error {
	switch {
	case key == "":
		return errors.New("the key is empty")
	case len(key) > MaxKey:
		return fmt.Errorf("the key has %d bytes, at most %d are possible", len(key), MaxKey)
	case len(value) > MaxValue:
		return fmt.Errorf("the value has %d bytes, at most %d are possible", len(value), MaxValue)
	case expire < 0 || expire > MaxExpire:
		return fmt.Errorf("expected an expiry of 0 to %v, got %v", MaxExpire, expire)
	}
	return nil
}
