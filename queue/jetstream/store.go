package jetstream

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/evid/evid/queue"
)

var (
	_ queue.Store = (*Store)(nil)

	errClosed = errors.New("it is closed")
)

// closeTime is how long Close waits for the disk, or for the external server.
const closeTime = 1500 * time.Millisecond

// A Store keeps journals in NATS JetStream. [Open] returns one.
type Store struct {
	params   Params
	log      *slog.Logger
	name     string // the directory, or the URL without its password
	dir      string // empty: external
	run      string // random: the ids of two runs differ
	names    names
	patience time.Duration
	lock     *lock    // nil: external
	lease    *lease   // nil: embedded
	reserve  *reserve // nil: external

	known [queue.Journals]atomic.Uint64 // the newest positions that there are, at least
	reads chan struct{}                 // has one for each Read under way

	ill  chan struct{} // wakes the goroutine that heals
	stop chan struct{} // closed by Close
	wg   sync.WaitGroup

	mu      sync.Mutex
	link    *link         // nil: the server is being opened again
	server  *embedded     // the newest there was, which may be about to end
	changed chan struct{} // closed, and made anew, when link changes
	sick    error         // why it takes nothing; nil: it does
	short   error         // why it takes no events: the reserve was given up; nil: it was not
	lost    bool          // for good
	spoiled bool          // the server has to be opened again
	closed  bool
	damage  []string
}

// Open opens the queue: with the embedded server, or, with a URL, an external one. What
// was damaged it keeps as far as it can; see [Store.Damage].
func Open(params Params, log *slog.Logger) (*Store, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if err := params.check(); err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	var run [9]byte
	_, _ = rand.Read(run[:]) // it never fails
	s := &Store{
		params: params, log: log, run: hex.EncodeToString(run[:]),
		names: names{params.Prefix}, patience: params.CommitTimeout,
		reads: make(chan struct{}, maxReads), ill: make(chan struct{}, 1), stop: make(chan struct{}),
		changed: make(chan struct{}),
	}
	open := s.openEmbedded
	if params.URL != "" {
		s.name = redact(params.URL)
		open = s.openExternal
	} else {
		var err error
		if s.dir, err = params.Directory(); err != nil {
			return nil, err
		}
		s.name = s.dir
		s.names = names{embeddedPrefix}
	}
	if err := open(); err != nil {
		return nil, fmt.Errorf("open queue %s: %w", s.name, err)
	}
	for _, text := range s.damage {
		log.Warn("queue " + s.name + ": " + text)
	}
	s.wg.Go(s.tend)
	return s, nil
}

// Damage says what was found damaged or lost, for people.
func (s *Store) Damage() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.damage...)
}

// String says where the journals are: the directory, or the URL without its password.
func (s *Store) String() string { return s.name }

// Info is that of [queue.Store].
func (s *Store) Info(j queue.Journal) (queue.JournalInfo, error) {
	var a *answer
	err := s.askSound(func(l *link) (err error) {
		a, err = l.call(l.read[j], "STREAM.INFO."+l.stream(j), struct{}{})
		return err
	})
	if err != nil {
		return queue.JournalInfo{}, fmt.Errorf("ask what %s has: %w", j, err)
	}
	s.know(j, a.State.LastSeq)
	info := queue.JournalInfo{
		First: a.State.FirstSeq, Last: a.State.LastSeq,
		Entries: a.State.Msgs, Bytes: a.State.Bytes, Oldest: a.State.FirstTime,
	}
	if info.Entries == 0 {
		info.First, info.Oldest = info.Last+1, time.Time{}
	}
	return info, nil
}

// askSound asks the server for something, unless it has failed and was not opened again
// yet: on a disk that hangs whoever asked would wait in vain.
func (s *Store) askSound(f func(l *link) error) error {
	s.mu.Lock()
	var err error
	if s.sick != nil && s.spoiled {
		err = s.healthLocked()
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.ask(f)
}

// ask asks the server for something, within the store's time limit: again, if it was
// opened anew meanwhile. All that is asked this way may be asked twice.
func (s *Store) ask(f func(l *link) error) error {
	deadline := time.Now().Add(s.patience)
	return s.within(deadline, func() error {
		for {
			l, err := s.anyLink(deadline)
			if err != nil {
				return err
			}
			if err = f(l); err == nil || !s.replaced(l) || time.Now().After(deadline) {
				return err
			}
		}
	})
}

// within returns what f returns, or that it takes too long. The calls of a connection have
// time limits, but on a disk that hangs the embedded server does not take what is sent to
// it, and then they wait for ever. What is given up goes on until the disk answers.
func (s *Store) within(deadline time.Time, f func() error) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errClosed
	}
	done := make(chan error, 1)
	s.wg.Go(func() { done <- f() })
	s.mu.Unlock()
	// It gives up by itself, normally, and says why.
	timer := time.NewTimer(time.Until(deadline) + 2*retryPause)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("no answer in %v", s.patience)
	}
}

// know notes that there is, or was, an entry at this position.
func (s *Store) know(j queue.Journal, pos uint64) {
	for {
		old := s.known[j].Load()
		if pos <= old || s.known[j].CompareAndSwap(old, pos) {
			return
		}
	}
}

// Free is that of [queue.Store]: an external server does not say. The reserve is not free.
func (s *Store) Free() (uint64, bool) {
	if s.dir == "" {
		return 0, false
	}
	free, err := freeBytes(s.dir)
	return free - min(free, s.reserve.missing()), err == nil
}

// Health is that of [queue.Store].
func (s *Store) Health() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.healthLocked()
}

func (s *Store) healthLocked() error {
	if s.closed {
		return fmt.Errorf("%w: %w", queue.ErrUnhealthy, errClosed)
	}
	if err := cmp.Or(s.sick, s.short); err != nil {
		return fmt.Errorf("%w: %w", queue.ErrUnhealthy, err)
	}
	return nil
}

// healthyLink returns what to append to a journal by, or why nothing can be appended.
func (s *Store) healthyLink(j queue.Journal) (*link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j != queue.EventLog && s.sick == nil && !s.closed {
		return s.link, nil
	}
	return s.link, s.healthLocked()
}

// anyLink returns what to read by. While the server is opened again, it waits.
func (s *Store) anyLink(deadline time.Time) (*link, error) {
	var timer *time.Timer
	for {
		s.mu.Lock()
		l, changed, closed, sick := s.link, s.changed, s.closed, s.sick
		s.mu.Unlock()
		if closed {
			return nil, errClosed
		}
		if l != nil {
			return l, nil
		}
		if timer == nil {
			timer = time.NewTimer(time.Until(deadline))
			defer timer.Stop()
		}
		select {
		case <-changed:
		case <-timer.C:
			return nil, fmt.Errorf("the server is not back within %v: %w", s.patience, sick)
		}
	}
}

// replaced reports whether the link is not, or soon will not be, that of the store.
func (s *Store) replaced(l *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link != l && !s.closed
}

func (s *Store) setLink(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setLinkLocked(l)
}

func (s *Store) setLinkLocked(l *link) {
	s.link = l
	if l != nil {
		s.spoiled = false
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// Close ends the store. It waits for the disk, but not for one that hangs: the server is
// then left behind, and the directory stays locked until it, or the process, has ended.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.stop)
	l := s.link
	s.setLinkLocked(nil)
	s.mu.Unlock()

	done := make(chan struct{})
	go func() {
		defer close(done)
		s.end(l)
	}()
	timer := time.NewTimer(closeTime)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
		if s.dir == "" {
			return fmt.Errorf("close queue %s: expected an answer within %v, got none", s.name, closeTime)
		}
		return fmt.Errorf("close queue %s: the disk takes longer than %v; the server is left behind", s.name, closeTime)
	}
}

// end waits for all that the store has started.
func (s *Store) end(l *link) {
	s.wg.Wait()
	if s.lease != nil && l != nil {
		s.lease.release(l)
	}
	if l != nil {
		l.close()
	}
	s.mu.Lock()
	server := s.server
	s.mu.Unlock()
	if server != nil {
		<-server.stop()
	}
	if s.lock != nil {
		markClean(s.dir)
		s.lock.release()
	}
}
