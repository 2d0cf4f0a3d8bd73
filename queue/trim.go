package queue

import (
	"math"
	"sort"
	"time"
)

// leastBytes is the least that the event log may have if nothing is said: on a disk that
// others have filled up nothing is dropped that is there already.
const leastBytes = 8 << 20

// spareBytes are left for all else: a store may give back what was trimmed by and by only,
// in files that are partly needed, and there are the state and the dead letters.
const spareBytes = 16 << 20

// setLimits says how large the event log may be. What is free is measured once: a limit
// that changes by itself could not be explained.
func (d *disk) setLimits(info JournalInfo) {
	d.bytes.Store(int64(info.Bytes))
	d.maxBytes = math.MaxInt64
	if p := d.queue.params; p.MaxBytes > 0 {
		d.maxBytes = int64(p.MaxBytes)
	} else if free, known := d.store.Free(); known {
		room := free + info.Bytes
		d.maxBytes = int64(max(min(room/4*3, room-min(room, spareBytes)), info.Bytes, leastBytes))
	}
}

// grown counts what was written to the event log, and has it trimmed if it is too large.
func (d *disk) grown(bytes int) {
	if d.bytes.Add(int64(bytes)) > d.maxBytes && !d.crowded.Swap(true) {
		d.saver.poke()
	}
}

// trim throws away what nobody needs any more of the event log, and what is beyond its
// limits. It is tried also while the store takes no events: that may be what it needs.
func (d *disk) trim() {
	d.saver.trimmed = time.Now()
	_, _ = d.health() // since when, for who asks
	logged := d.logged.Load()
	info, err := d.store.Info(EventLog)
	if err == nil && info.First <= info.Last {
		err = d.trimTo(&info)
	}
	if err == nil {
		err = d.noteStart(&info, logged)
	}
	if err != nil {
		d.log.Debug("the event log was not trimmed", "err", err) // it is tried again
		return
	}
	d.bytes.Store(int64(info.Bytes))
}

// trimTo trims the event log, of which info says what it has, and then what is left.
func (d *disk) trimTo(info *JournalInfo) error {
	before := d.needed(info)
	limited, aged, why, err := d.limit(info)
	if err != nil {
		return err
	}
	full := limited > before && why != tooOld && d.queue.params.OnFull == Reject
	if full { // what is too old goes all the same
		limited, why = aged, tooOld
	}
	d.full.Store(full)
	drops := limited > before
	if drops {
		before = limited
	}
	if before <= info.First {
		return nil
	}
	if err := d.store.Trim(EventLog, before); err != nil {
		return err
	}
	if drops {
		d.log.Warn("events dropped from the log, also for subscribers that have not had them", "because", why,
			"chunks", limited-info.First)
	}
	for _, l := range d.queue.allLists() {
		l.trimMarks(before)
	}
	*info, err = d.store.Info(EventLog)
	return err
}

// needed is the first chunk that a subscriber needs, or would after a crash.
func (d *disk) needed(info *JournalInfo) uint64 {
	need := d.saver.applied + 1
	for _, l := range d.queue.allLists() {
		need = min(need, l.savedNeed)
	}
	return max(need, info.First)
}

func (l *list) trimMarks(before uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.marks.trim(before)
}

// Why the event log is trimmed although events are needed.
const (
	tooOld   = "they are older than max_age"
	tooMany  = "there are more than max_events"
	tooLarge = "the log is larger than max_bytes"
)

// limit returns the chunk with which the log has to begin so that it is within its
// limits, and so that nothing in it is too old.
func (d *disk) limit(info *JournalInfo) (first, aged uint64, why string, err error) {
	p := &d.queue.params
	aged = info.First
	if p.MaxAge > 0 && time.Since(info.Oldest) > p.MaxAge {
		aged, err = d.firstChunk(info, func(c *chunk) bool { return time.Since(c.time) <= p.MaxAge })
	}
	first, why = aged, tooOld
	if err == nil && info.Bytes > uint64(d.maxBytes) {
		// An eighth more than needed, so that this is not done for each event.
		excess := float64(info.Bytes) - float64(d.maxBytes)/8*7
		if at := info.First + uint64(math.Ceil(excess/float64(info.Bytes)*float64(info.Last+1-info.First))); at > first {
			first, why = at, tooLarge
		}
	}
	if err == nil && d.hasTooMany() {
		logged := d.logged.Load()
		var at uint64
		at, err = d.firstChunk(info, func(c *chunk) bool { return logged-c.before <= uint64(p.MaxEvents) })
		if at > first {
			first, why = at, tooMany
		}
	}
	return first, aged, why, err
}

// hasTooMany reports whether there may be more events than max_events: it is looked up
// which ones only then.
func (d *disk) hasTooMany() bool {
	most := uint64(d.queue.params.MaxEvents)
	start := d.start.Load()
	return most > 0 && (start == nil || d.logged.Load()-start.before > most)
}

// firstChunk returns the first chunk of which that is true; it is of all after it.
func (d *disk) firstChunk(info *JournalInfo, is func(*chunk) bool) (pos uint64, err error) {
	n := sort.Search(int(info.Last+1-info.First), func(i int) bool {
		if err != nil {
			return true
		}
		var header *chunk
		header, err = d.header(info.First + uint64(i))
		return header == nil || is(header)
	})
	return info.First + uint64(n), err
}

// header reads the first chunk at or after a position, without its events; nil: there is
// none, or it is damaged.
func (d *disk) header(pos uint64) (*chunk, error) {
	var entries [1]Entry
	n, err := d.store.Read(EventLog, pos, entries[:])
	if err != nil || n == 0 {
		return nil, err
	}
	c, err := readChunkHeader(entries[0])
	if err != nil {
		return nil, nil //nolint:nilerr // who reads it tells that it is damaged
	}
	return c, nil
}
