package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evid/evid/queue"
)

// An Opener opens the store at one place, with what was kept there. What it opened
// before has been closed.
type Opener func(t *testing.T) queue.Store

// Run runs the suite. Each test gets a new place, where nothing is kept yet.
func Run(t *testing.T, place func(t *testing.T) Opener) {
	for _, test := range []struct {
		name string
		run  func(s *suite)
	}{
		{"order", order},
		{"moved", moved},
		{"positions", positions},
		{"reopen", reopen},
		{"trim", trim},
		{"trim too far", trimTooFar},
		{"delete", remove},
		{"read", read},
		{"largest entry", largest},
		{"no data", noData},
		{"journals at once", atOnce},
		{"readers beside an appender", beside},
		{"info", info},
		{"closed", closed},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &suite{T: t, open: place(t)}
			s.Store = s.open(t)
			t.Cleanup(func() { s.Close() })
			test.run(s)
		})
	}
}

// A suite is one test with its store.
type suite struct {
	*testing.T
	queue.Store
	open Opener
}

func (s *suite) reopen() {
	s.Helper()
	if err := s.Close(); err != nil {
		s.Fatalf("close: %v", err)
	}
	s.Store = s.open(s.T)
}

// fill appends n entries, "1" at position 1 and so on.
func (s *suite) fill(j queue.Journal, n int) {
	s.Helper()
	for range n {
		s.append(j, "")
	}
}

// append adds an entry after the newest one; empty: one that names its position.
func (s *suite) append(j queue.Journal, data string) {
	s.Helper()
	last := s.info(j).Last
	if data == "" {
		data = fmt.Sprint(last + 1)
	}
	pos, err := s.Append(j, last, []byte(data))
	if err != nil {
		s.Fatalf("append: %v", err)
	}
	if pos != last+1 {
		s.Fatalf("got position %d, want %d", pos, last+1)
	}
}

func (s *suite) info(j queue.Journal) queue.JournalInfo {
	s.Helper()
	info, err := s.Info(j)
	if err != nil {
		s.Fatalf("info: %v", err)
	}
	return info
}

// want checks what is in the journal from a position on, as "pos:data pos:data".
func (s *suite) want(j queue.Journal, from uint64, want string) {
	s.Helper()
	var got []string
	for entries := make([]queue.Entry, 3); ; {
		n, err := s.Read(j, from, entries)
		if err != nil {
			s.Fatalf("read from %d: %v", from, err)
		}
		if n == 0 {
			break
		}
		for _, e := range entries[:n] {
			got = append(got, fmt.Sprintf("%d:%s", e.Pos, e.Data))
			from = e.Pos + 1
		}
	}
	if got := strings.Join(got, " "); got != want {
		s.Errorf("%s has %q, want %q", j, got, want)
	}
}

func order(s *suite) {
	s.want(queue.EventLog, 1, "")
	s.fill(queue.EventLog, 5)
	s.want(queue.EventLog, 1, "1:1 2:2 3:3 4:4 5:5")
	s.want(queue.EventLog, 0, "1:1 2:2 3:3 4:4 5:5")
	s.want(queue.EventLog, 4, "4:4 5:5")
	s.want(queue.EventLog, 6, "")
	s.want(queue.EventLog, 1000, "")
	s.want(queue.LetterLog, 1, "")
}

func moved(s *suite) {
	s.fill(queue.EventLog, 2)
	for _, last := range []uint64{0, 1, 3, 1000} {
		pos, err := s.Append(queue.EventLog, last, []byte("wrong"))
		if !errors.Is(err, queue.ErrMoved) || errors.Is(err, queue.ErrUnconfirmed) || errors.Is(err, queue.ErrUnhealthy) {
			s.Errorf("append after %d: got %d, %v; want %v", last, pos, err, queue.ErrMoved)
		}
	}
	if err := s.Health(); err != nil {
		s.Errorf("then the store is not healthy: %v", err)
	}
	s.append(queue.EventLog, "")
	s.want(queue.EventLog, 1, "1:1 2:2 3:3")
}

func positions(s *suite) {
	s.fill(queue.EventLog, 3)
	if err := s.Trim(queue.EventLog, 4); err != nil {
		s.Fatalf("trim: %v", err)
	}
	s.want(queue.EventLog, 1, "")
	s.append(queue.EventLog, "")
	s.want(queue.EventLog, 1, "4:4")
	if err := s.Trim(queue.EventLog, 5); err != nil {
		s.Fatalf("trim: %v", err)
	}
	s.reopen()
	if got := s.info(queue.EventLog); got.Last != 4 || got.First != 5 || got.Entries != 0 {
		s.Errorf("reopened with nothing in it: got %+v, want 4 as the last position", got)
	}
	s.append(queue.EventLog, "")
	if err := s.Delete(queue.EventLog, 5); err != nil {
		s.Fatalf("delete: %v", err)
	}
	s.reopen()
	s.append(queue.EventLog, "")
	s.want(queue.EventLog, 1, "6:6")
}

func reopen(s *suite) {
	for j := range queue.Journals {
		s.fill(j, 3+int(j))
	}
	if err := s.Trim(queue.EventLog, 2); err != nil {
		s.Fatalf("trim: %v", err)
	}
	if err := s.Delete(queue.LetterLog, 2); err != nil {
		s.Fatalf("delete: %v", err)
	}
	oldest := s.info(queue.EventLog).Oldest
	for range 2 {
		s.reopen()
		s.want(queue.EventLog, 1, "2:2 3:3")
		s.want(queue.LetterLog, 1, "1:1 3:3 4:4")
		s.want(queue.StateLog, 1, "1:1 2:2 3:3 4:4 5:5")
		if got := s.info(queue.EventLog).Oldest; !got.Equal(oldest) {
			s.Errorf("the oldest entry is of %v, want %v", got, oldest)
		}
	}
	s.append(queue.EventLog, "")
	s.want(queue.EventLog, 3, "3:3 4:4")
}

func trim(s *suite) {
	s.fill(queue.EventLog, 5)
	s.fill(queue.StateLog, 2)
	for before, want := range []string{"1:1 2:2 3:3 4:4 5:5", "1:1 2:2 3:3 4:4 5:5", "2:2 3:3 4:4 5:5", "3:3 4:4 5:5"} {
		if err := s.Trim(queue.EventLog, uint64(before)); err != nil {
			s.Fatalf("trim before %d: %v", before, err)
		}
		s.want(queue.EventLog, 1, want)
	}
	if err := s.Trim(queue.EventLog, 2); err != nil { // again, and less
		s.Fatalf("trim: %v", err)
	}
	s.want(queue.EventLog, 1, "3:3 4:4 5:5")
	s.want(queue.StateLog, 1, "1:1 2:2")
}

// A trim beyond the end does not move the end.
func trimTooFar(s *suite) {
	s.fill(queue.EventLog, 2)
	if err := s.Trim(queue.EventLog, 1000); err != nil {
		s.Fatalf("trim: %v", err)
	}
	s.want(queue.EventLog, 1, "")
	s.append(queue.EventLog, "")
	s.want(queue.EventLog, 1, "3:3")
	if err := s.Trim(queue.LetterLog, 1000); err != nil {
		s.Fatalf("trim what is empty: %v", err)
	}
	s.append(queue.LetterLog, "")
	s.want(queue.LetterLog, 1, "1:1")
}

func remove(s *suite) {
	s.fill(queue.EventLog, 5)
	for _, pos := range []uint64{3, 3, 1, 5, 6, 1000} { // the gone, and those that never were, too
		if err := s.Delete(queue.EventLog, pos); err != nil {
			s.Errorf("delete %d: %v", pos, err)
		}
	}
	s.want(queue.EventLog, 1, "2:2 4:4")
	if got := s.info(queue.EventLog); got.First != 2 || got.Last != 5 || got.Entries != 2 {
		s.Errorf("got %+v, want 2 entries from 2, and 5 as the last position", got)
	}
	s.append(queue.EventLog, "")
	s.want(queue.EventLog, 3, "4:4 6:6")
}

func read(s *suite) {
	s.fill(queue.EventLog, 9)
	for _, pos := range []uint64{2, 3, 4, 5, 8} {
		if err := s.Delete(queue.EventLog, pos); err != nil {
			s.Fatalf("delete %d: %v", pos, err)
		}
	}
	s.want(queue.EventLog, 1, "1:1 6:6 7:7 9:9")
	s.want(queue.EventLog, 4, "6:6 7:7 9:9")
	if n, err := s.Read(queue.EventLog, 1, nil); n != 0 || err != nil {
		s.Errorf("read without room: got %d, %v; want nothing", n, err)
	}
	entries := make([]queue.Entry, 10)
	n, err := s.Read(queue.EventLog, 7, entries)
	if err != nil || n == 0 || entries[0].Pos != 7 || entries[n].Pos != 0 {
		s.Errorf("got %d entries %+v, %v; want the one at 7 first, and no other touched", n, entries[:n], err)
	}
	// What was read is the caller's.
	if n == 0 {
		return
	}
	entries[0].Data[0] = 'x'
	s.want(queue.EventLog, 7, "7:7 9:9")
}

func largest(s *suite) {
	data := make([]byte, queue.MaxEntry)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	for last := range uint64(3) {
		data[0] = byte(last)
		if _, err := s.Append(queue.EventLog, last, data); err != nil {
			s.Fatalf("append %d bytes: %v", len(data), err)
		}
	}
	entries := make([]queue.Entry, 3)
	for pos := uint64(1); pos <= 3; {
		n, err := s.Read(queue.EventLog, pos, entries)
		if err != nil || n == 0 {
			s.Fatalf("read from %d: got %d, %v", pos, n, err)
		}
		for _, e := range entries[:n] {
			data[0] = byte(e.Pos - 1)
			if e.Pos != pos || !bytes.Equal(e.Data, data) {
				s.Errorf("got %d bytes at %d, want those appended at %d", len(e.Data), e.Pos, pos)
			}
			pos++
		}
	}
	_, err := s.Append(queue.EventLog, 3, make([]byte, queue.MaxEntry+1))
	if err == nil || errors.Is(err, queue.ErrUnconfirmed) || errors.Is(err, queue.ErrMoved) {
		s.Errorf("an entry that is too large: got %v, want an error that says that it was not added", err)
	}
	if err := s.Health(); err != nil {
		s.Errorf("then the store is not healthy: %v", err)
	}
}

func noData(s *suite) {
	if _, err := s.Append(queue.StateLog, 0, nil); err != nil {
		s.Fatalf("append: %v", err)
	}
	s.append(queue.StateLog, "")
	s.want(queue.StateLog, 1, "1: 2:2")
}

func atOnce(s *suite) {
	const n = 50
	var wg sync.WaitGroup
	for j := range queue.Journals {
		wg.Go(func() {
			for last := range uint64(n) {
				if pos, err := s.Append(j, last, fmt.Append(nil, j, last)); err != nil || pos != last+1 {
					s.Errorf("append to %s after %d: got %d, %v", j, last, pos, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for j := range queue.Journals {
		entries := make([]queue.Entry, n+1)
		for pos := uint64(1); pos <= n; {
			got, err := s.Read(j, pos, entries)
			if err != nil || got == 0 {
				s.Fatalf("read %s from %d: got %d, %v", j, pos, got, err)
			}
			for _, e := range entries[:got] {
				if want := fmt.Sprint(j, pos-1); e.Pos != pos || string(e.Data) != want {
					s.Fatalf("%s has %q at %d, want %q at %d", j, e.Data, e.Pos, want, pos)
				}
				pos++
			}
		}
	}
}

// What was acknowledged is seen by every reader from then on.
func beside(s *suite) {
	const n = 100
	positions := make(chan uint64, n)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for pos := range positions {
				entries := make([]queue.Entry, 1)
				got, err := s.Read(queue.EventLog, pos, entries)
				if err != nil || got != 1 || entries[0].Pos != pos {
					s.Errorf("read %d: got %d, %+v, %v", pos, got, entries[0], err)
				}
			}
		})
	}
	for last := range uint64(n) {
		pos, err := s.Append(queue.EventLog, last, []byte("x"))
		if err != nil {
			s.Errorf("append: %v", err)
			break
		}
		positions <- pos
	}
	close(positions)
	wg.Wait()
}

func info(s *suite) {
	if got := s.info(queue.EventLog); got.First != 1 || got.Last != 0 || got.Entries != 0 || got.Bytes != 0 || !got.Oldest.IsZero() {
		s.Errorf("nothing in it: got %+v", got)
	}
	start := time.Now()
	s.append(queue.EventLog, string(Noise(10_000)))
	first := s.info(queue.EventLog)
	s.append(queue.EventLog, "")
	got := s.info(queue.EventLog)
	if got.First != 1 || got.Last != 2 || got.Entries != 2 || got.Bytes < 10_000 || got.Bytes > 11_000 {
		s.Errorf("got %+v, want two entries and their bytes", got)
	}
	if early, late := start.Add(-time.Second), time.Now().Add(time.Second); got.Oldest.Before(early) || got.Oldest.After(late) {
		s.Errorf("the oldest entry is of %v, want a time from %v to %v", got.Oldest, early, late)
	}
	if !got.Oldest.Equal(first.Oldest) {
		s.Errorf("the oldest entry was of %v, and is now of %v", first.Oldest, got.Oldest)
	}
	if err := s.Trim(queue.EventLog, 2); err != nil {
		s.Fatalf("trim: %v", err)
	}
	if got := s.info(queue.EventLog); got.First != 2 || got.Last != 2 || got.Entries != 1 || got.Bytes > 1000 || !got.Oldest.After(first.Oldest) {
		s.Errorf("after the trim: got %+v, want the second entry alone", got)
	}
	if err := s.Health(); err != nil {
		s.Errorf("health: %v", err)
	}
}

func closed(s *suite) {
	s.fill(queue.EventLog, 1)
	if err := s.Close(); err != nil {
		s.Errorf("close: %v", err)
	}
	if _, err := s.Append(queue.EventLog, 1, nil); !errors.Is(err, queue.ErrUnhealthy) {
		s.Errorf("append: got %v, want %v", err, queue.ErrUnhealthy)
	}
	if _, err := s.Read(queue.EventLog, 1, make([]queue.Entry, 1)); err == nil {
		s.Error("a closed store can be read")
	}
	if err := s.Trim(queue.EventLog, 2); err == nil {
		s.Error("a closed store can be trimmed")
	}
	if err := s.Health(); !errors.Is(err, queue.ErrUnhealthy) {
		s.Errorf("health: got %v, want %v", err, queue.ErrUnhealthy)
	}
	if err := s.Close(); err != nil {
		s.Errorf("close again: %v", err)
	}
	s.Store = s.open(s.T)
	s.want(queue.EventLog, 1, "1:1")
}
