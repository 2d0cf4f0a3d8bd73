package jetstream

import (
	"errors"
	"fmt"
	"time"
)

// lookEvery is how often a directory is looked for: what is written after it was moved or
// removed, nobody would find.
const lookEvery = time.Second

var errMoved = errors.New("the directory was moved or removed")

// fail notes that something went wrong with the server behind a link: until it is found
// to work, nothing is appended.
func (s *Store) fail(l *link, reason error) {
	s.mu.Lock()
	if s.closed || s.lost || s.link != l {
		s.mu.Unlock() // that is known, or over
		return
	}
	s.spoiled = true
	first := s.sick == nil && s.short == nil
	if s.sick == nil {
		s.sick = reason
	}
	s.mu.Unlock()
	if !first {
		return // it is being healed
	}
	s.log.Error("queue "+s.name+" cannot write: events are refused until it can", "reason", reason.Error())
	s.callHealer()
}

func (s *Store) callHealer() {
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
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.ill:
			s.heal()
		case <-tick.C:
			if s.lock != nil && !s.lock.isThere() {
				s.lose(errMoved)
			}
		case <-s.stop:
			return
		}
	}
}

func (s *Store) heal() {
	if s.Health() == nil {
		return // that was before it was healed last
	}
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
		first := s.noteLocked(err, began)
		s.mu.Unlock()
		if first {
			s.log.Warn("queue "+s.name+" has given up its reserve: who has had what is saved, events are refused until there is room",
				"reason", err.Error())
		}
		return false
	}
	s.sick, s.short = nil, nil
	s.mu.Unlock()
	s.log.Info("queue "+s.name+" can write again", "after", time.Since(began).Round(time.Millisecond).String())
	return true
}

// noteLocked notes why the store is not well. It reports whether it is well enough for all
// but events, and was not before.
func (s *Store) noteLocked(err error, began time.Time) (first bool) {
	full, ok := errors.AsType[*shortage](err)
	err = fmt.Errorf("%w (for %v)", err, time.Since(began).Round(time.Second))
	if !ok || s.spoiled || full.free < leastRoom || s.reserve.missing() == 0 {
		s.sick = err
		return false
	}
	first = s.short == nil
	s.sick, s.short = nil, err
	return first
}
