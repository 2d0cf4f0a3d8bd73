package queue

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/evid/evid"
)

const (
	// cacheBytes is how much of the event log is kept in memory for those that are
	// behind, counted as it is on disk.
	cacheBytes = 8 << 20
	// readAhead is how many chunks are read at a time.
	readAhead = 8
	// readers is how many read at a time, and readPatience how long one more waits.
	readers      = 2
	readPatience = 200 * time.Millisecond
)

var errSlowDisk = errors.New("the disk is slow: others read from it")

// chunks reads the event log. Those that read about the same place share what was
// read: there is one cache for all lists.
type chunks struct {
	store Store
	log   *slog.Logger

	slow    atomic.Bool   // one has waited in vain to read: others do not wait
	reading chan struct{} // holds one for each that reads: who waits may then find what it needs in the cache

	mu     sync.Mutex
	cached map[uint64]*cachedChunk // by position
	oldest []uint64                // positions, in the order in which they came
	bytes  int
}

// A cachedChunk is decoded when it is first needed.
type cachedChunk struct {
	entry  Entry // until it is decoded
	pos    uint64
	size   int
	decode sync.Once
	chunk  *chunk
	err    error
}

func (c *cachedChunk) read() (*chunk, error) {
	c.decode.Do(func() {
		c.chunk, c.err = readChunk(c.entry)
		c.entry = Entry{}
	})
	return c.chunk, c.err
}

// find returns the first events of a name from an ordinal on that are in the log from
// one position to another, with both: as many as there is room for and as are in one chunk.
// n is 0 if there are none. What is damaged is passed over.
func (c *chunks) find(name string, ordinal, from, to uint64, events []*evid.Event) (at mark, n int, err error) {
	for from <= to {
		next, err := c.at(from)
		if err != nil || next == nil || next.pos > to {
			return mark{}, 0, err
		}
		from = next.pos + 1
		chunk, err := next.read()
		if err != nil {
			c.log.Error("events lost: what the queue has on disk is damaged", "err", err)
			continue
		}
		of := chunk.of(name)
		if of == nil || of.ordinal+uint64(len(of.events)) <= ordinal {
			continue
		}
		skipped := max(ordinal, of.ordinal) - of.ordinal
		n = copy(events, of.events[skipped:])
		return mark{of.ordinal + skipped, chunk.pos, events[0].ID}, n, nil
	}
	return mark{}, 0, nil
}

// at returns the first chunk at or after a position; nil: there is none.
func (c *chunks) at(pos uint64) (*cachedChunk, error) {
	if found := c.look(pos); found != nil {
		return found, nil
	}
	if err := c.begin(); err != nil {
		return nil, err
	}
	defer func() {
		<-c.reading
		c.slow.Store(false)
	}()
	if found := c.look(pos); found != nil {
		return found, nil
	}
	var entries [readAhead]Entry
	n, err := c.store.Read(EventLog, pos, entries[:])
	if err != nil || n == 0 {
		return nil, err
	}
	return c.keep(entries[:n]), nil
}

// begin waits until this one may read. It does not wait long: a disk that hangs must not
// hold up many workers, who have others to serve.
func (c *chunks) begin() error {
	select {
	case c.reading <- struct{}{}:
		return nil
	default:
		if c.slow.Load() {
			return errSlowDisk
		}
	}
	timer := time.NewTimer(readPatience)
	defer timer.Stop()
	select {
	case c.reading <- struct{}{}:
		return nil
	case <-timer.C:
		c.slow.Store(true)
		return errSlowDisk
	}
}

func (c *chunks) look(pos uint64) *cachedChunk {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cached[pos]
}

// keep puts entries into the cache and returns the first of them.
func (c *chunks) keep(entries []Entry) (first *cachedChunk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cached == nil {
		c.cached = make(map[uint64]*cachedChunk)
	}
	for _, entry := range entries {
		kept := c.cached[entry.Pos]
		if kept == nil {
			kept = &cachedChunk{entry: entry, pos: entry.Pos, size: len(entry.Data)}
			c.cached[entry.Pos] = kept
			c.oldest = append(c.oldest, entry.Pos)
			c.bytes += kept.size
		}
		if first == nil {
			first = kept
		}
	}
	for c.bytes > cacheBytes && len(c.oldest) > readAhead {
		c.bytes -= c.cached[c.oldest[0]].size
		delete(c.cached, c.oldest[0])
		c.oldest = c.oldest[1:]
	}
	return first
}
