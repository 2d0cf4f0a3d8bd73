package jetstream

import (
	"errors"
	"fmt"
	"time"
)

// fail notes that something went wrong with the server behind a link: until it is found
// to work, nothing is appended.
func (s *Store) fail(l *link, reason error) {
	s.mu.Lock()
	if s.closed || s.lost || s.link != l {
		s.mu.Unlock() // that is known, or over
		return
	}
	s.spoiled = true
	first := s.sick == nil
	if first {
		s.sick = reason
	}
	s.mu.Unlock()
	if !first {
		return
	}
	s.log.Error("queue "+s.name+" cannot write: events are refused until it can", "reason", reason.Error())
	select {
	case s.ill <- struct{}{}:
	default:
	}
}

// lose notes that somebody else has the queue now: the store stays unhealthy.
func (s *Store) lose(reason error) {
	s.mu.Lock()
	first := !s.lost && !s.closed
	s.lost = true
	s.sick = reason
	s.mu.Unlock()
	if first {
		s.log.Error("queue "+s.name+" is lost: events are refused for good", "reason", reason.Error())
	}
}

// tend heals the store whenever that is needed, until it is closed.
func (s *Store) tend() {
	for {
		select {
		case <-s.ill:
			s.heal()
		case <-s.stop:
			return
		}
	}
}

func (s *Store) heal() {
	began := time.Now()
	tick := time.NewTicker(healEvery)
	defer tick.Stop()
	step := s.healEmbedded
	if s.dir == "" {
		step = s.healExternal
	}
	for {
		err := step()
		if errors.Is(err, ErrInUse) {
			s.lose(err)
			return
		}
		if s.settle(err, began) {
			return
		}
		select {
		case <-tick.C:
		case <-s.stop:
			return
		}
	}
}

// settle notes how an attempt to heal ended, and reports whether it was the last one.
func (s *Store) settle(err error, began time.Time) bool {
	s.mu.Lock()
	switch {
	case s.lost || s.closed:
		s.mu.Unlock()
		return true
	case err == nil && s.spoiled && s.dir != "":
		s.mu.Unlock() // something failed meanwhile
		return false
	case err != nil:
		s.sick = fmt.Errorf("%w (for %v)", err, time.Since(began).Round(time.Second))
		s.mu.Unlock()
		return false
	}
	s.sick = nil
	s.mu.Unlock()
	s.log.Info("queue "+s.name+" can write again", "after", time.Since(began).Round(time.Millisecond).String())
	return true
}
