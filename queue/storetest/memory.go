package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/evid/evid/queue"
)

// A Fault is what becomes of one Append to a [Memory].
type Fault uint8

// The faults. After Kept and Lost the store is unhealthy until [Memory.Heal].
const (
	None    Fault = iota // it is kept, and the caller is told so
	Kept                 // it is kept, and the caller gets [queue.ErrUnconfirmed]
	Lost                 // it is not kept, and the caller gets [queue.ErrUnconfirmed]
	Refused              // it is not kept, and the caller gets an error that says so
)

// ErrRefused is the error of a [Refused] append.
var ErrRefused = errors.New("refused by the test")

// Memory is a [queue.Store] that forgets everything with the process, and fails when a
// test wants it to.
type Memory struct {
	mu       sync.Mutex
	journals [queue.Journals]journal
	onAppend func(j queue.Journal, last uint64, entry []byte) Fault
	onRead   func(j queue.Journal, from uint64) error
	onTrim   func(j queue.Journal, before uint64) error
	sick     error // why it takes nothing; nil: it does
	full     error // why it takes no events; nil: it does
	closed   bool
	free     uint64
	known    bool // free is
}

type journal struct {
	last    uint64
	entries []stored // in order of their positions
}

type stored struct {
	queue.Entry
	at time.Time
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{} }

// Clone returns a store with what m has now: what a new process finds after the one that
// uses m was killed at this moment. It is healthy, and has no faults.
func (m *Memory) Clone() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &Memory{journals: m.journals, free: m.free, known: m.known}
	for j := range c.journals {
		c.journals[j].entries = slices.Clone(c.journals[j].entries)
	}
	return c
}

// OnAppend has f asked what becomes of each Append from now on; nil: it is kept. While f
// waits, so does Append, as with a slow disk.
func (m *Memory) OnAppend(f func(j queue.Journal, last uint64, entry []byte) Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onAppend = f
}

// OnRead has each Read fail with the error of f, if it has one.
func (m *Memory) OnRead(f func(j queue.Journal, from uint64) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onRead = f
}

// OnTrim has each Trim, and each Delete, fail with the error of f, if it has one. Delete
// asks with the position after the one it deletes.
func (m *Memory) OnTrim(f func(j queue.Journal, before uint64) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onTrim = f
}

// Sicken makes the store unhealthy until [Memory.Heal].
func (m *Memory) Sicken(why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sick = why
}

// Heal makes the store healthy.
func (m *Memory) Heal() { m.Sicken(nil) }

// Fill has the store take no events, as if the disk were full; nil: it does again.
func (m *Memory) Fill(why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.full = why
}

// SetFree sets what Free returns.
func (m *Memory) SetFree(bytes uint64, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free, m.known = bytes, known
}

// Append is that of [queue.Store].
func (m *Memory) Append(j queue.Journal, last uint64, entry []byte) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.healthLocked(j); err != nil {
		return 0, fmt.Errorf("append to %s: %w", j, err)
	}
	fault := None
	if f := m.onAppend; f != nil {
		m.mu.Unlock()
		fault = f(j, last, entry)
		m.mu.Lock()
	}
	l := &m.journals[j]
	switch {
	case len(entry) > queue.MaxEntry:
		return 0, fmt.Errorf("append to %s: expected at most %d bytes, got %d", j, queue.MaxEntry, len(entry))
	case fault == Refused:
		return 0, fmt.Errorf("append to %s: %w", j, ErrRefused)
	case fault != Lost && last != l.last:
		return 0, fmt.Errorf("append to %s: %w: expected %d, it is %d", j, queue.ErrMoved, last, l.last)
	}
	if fault != Lost {
		l.last++
		l.entries = append(l.entries, stored{queue.Entry{Pos: l.last, Data: slices.Clone(entry)}, time.Now()})
	}
	if fault != None {
		m.sick = errors.New("an append was not confirmed")
		return 0, fmt.Errorf("append to %s: %w", j, queue.ErrUnconfirmed)
	}
	return l.last, nil
}

// healthLocked returns why entries of a journal are not taken.
func (m *Memory) healthLocked(j queue.Journal) error {
	if m.closed {
		return fmt.Errorf("%w: it is closed", queue.ErrUnhealthy)
	}
	if m.sick != nil {
		return fmt.Errorf("%w: %w", queue.ErrUnhealthy, m.sick)
	}
	if m.full != nil && j == queue.EventLog {
		return fmt.Errorf("%w: %w", queue.ErrUnhealthy, m.full)
	}
	return nil
}

// Read is that of [queue.Store].
func (m *Memory) Read(j queue.Journal, from uint64, entries []queue.Entry) (int, error) {
	m.mu.Lock()
	f := m.onRead
	m.mu.Unlock()
	if f != nil {
		if err := f(j, from); err != nil {
			return 0, fmt.Errorf("read %s from %d: %w", j, from, err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0, fmt.Errorf("read %s from %d: %w: it is closed", j, from, queue.ErrUnhealthy)
	}
	l := &m.journals[j]
	n := 0
	for _, e := range l.entries[l.search(from):] {
		if n == len(entries) {
			break
		}
		entries[n] = queue.Entry{Pos: e.Pos, Data: slices.Clone(e.Data)}
		n++
	}
	return n, nil
}

// search returns the index of the first entry at the position or after it.
func (l *journal) search(pos uint64) int {
	i, _ := slices.BinarySearchFunc(l.entries, pos, func(e stored, pos uint64) int {
		switch {
		case e.Pos < pos:
			return -1
		case e.Pos > pos:
			return 1
		}
		return 0
	})
	return i
}

// Trim is that of [queue.Store]. It may be what makes room: it works while the store is
// unhealthy, too.
func (m *Memory) Trim(j queue.Journal, before uint64) error {
	if err := m.mayTrim(j, before); err != nil {
		return fmt.Errorf("trim %s before %d: %w", j, before, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &m.journals[j]
	l.entries = slices.Clone(l.entries[l.search(before):])
	return nil
}

// Delete is that of [queue.Store].
func (m *Memory) Delete(j queue.Journal, pos uint64) error {
	if err := m.mayTrim(j, pos+1); err != nil {
		return fmt.Errorf("delete entry %d of %s: %w", pos, j, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &m.journals[j]
	l.entries = slices.DeleteFunc(l.entries, func(e stored) bool { return e.Pos == pos })
	return nil
}

func (m *Memory) mayTrim(j queue.Journal, before uint64) error {
	m.mu.Lock()
	f, closed := m.onTrim, m.closed
	m.mu.Unlock()
	if closed {
		return fmt.Errorf("%w: it is closed", queue.ErrUnhealthy)
	}
	if f == nil {
		return nil
	}
	return f(j, before)
}

// Info is that of [queue.Store].
func (m *Memory) Info(j queue.Journal) (queue.JournalInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return queue.JournalInfo{}, fmt.Errorf("get information of %s: %w: it is closed", j, queue.ErrUnhealthy)
	}
	l := &m.journals[j]
	info := queue.JournalInfo{First: l.last + 1, Last: l.last, Entries: uint64(len(l.entries))}
	for _, e := range l.entries {
		info.Bytes += uint64(len(e.Data))
	}
	if len(l.entries) > 0 {
		info.First, info.Oldest = l.entries[0].Pos, l.entries[0].at
	}
	return info, nil
}

// Health is that of [queue.Store].
func (m *Memory) Health() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.healthLocked(queue.EventLog)
}

// Free is that of [queue.Store].
func (m *Memory) Free() (uint64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.free, m.known
}

// Close is that of [queue.Store]. A [Memory.Clone] has what it kept.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// Damage changes a bit of an entry.
func (m *Memory) Damage(j queue.Journal, pos uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &m.journals[j]
	for i := range l.entries {
		if l.entries[i].Pos == pos {
			l.entries[i].Data[len(l.entries[i].Data)/2] ^= 1
		}
	}
}

// Lose throws away a journal, as if its files had been removed: its positions begin anew.
func (m *Memory) Lose(j queue.Journal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.journals[j] = journal{}
}
