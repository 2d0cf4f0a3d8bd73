package delivery

import (
	"slices"
	"time"

	"github.com/evid/evid"
)

// A trouble is what has to be known of a subscriber for which not all went well.
// Most have none; it comes while the engine's lock is held, and stays. Its methods
// take nil for one with nothing in it.
type trouble struct {
	backoff   *backoff // of this subscriber; nil: all is well
	tries     []tries  // at the events that failed and come again
	lastError string   // of the last attempt that failed
	account   *account // what was told of it; see notices

	// Of the worker that serves the subscriber.
	record *record // what was logged of it; nil: nothing that matters now
	lost   uint64  // events lost since it has fallen behind
}

// tries are the attempts at one event that have failed.
type tries struct {
	id       evid.ID
	attempts int
	counted  int // of these: those that count against max_attempts
	first    time.Time
}

// troubleLocked returns the subscriber's trouble, to write to it.
func (s *subscriber) troubleLocked() *trouble {
	if s.trouble == nil {
		s.trouble = new(trouble)
	}
	return s.trouble
}

// backoff returns what makes the subscriber pause, or did after the last attempt;
// nil: all is well.
func (s *subscriber) backoff() *backoff {
	if s.trouble == nil {
		return nil
	}
	return s.trouble.backoff
}

// failure says why the last attempt that failed did.
func (t *trouble) failure() string {
	if t == nil {
		return ""
	}
	return t.lastError
}

// triesAt returns the failed attempts at an event; nil: there are none.
func (t *trouble) triesAt(id evid.ID) *tries {
	if t == nil {
		return nil
	}
	for i := range t.tries {
		if t.tries[i].id == id {
			return &t.tries[i]
		}
	}
	return nil
}

// addTries begins to count the attempts at an event.
func (t *trouble) addTries(id evid.ID) *tries {
	t.tries = append(t.tries, tries{id: id, first: time.Now()})
	return &t.tries[len(t.tries)-1]
}

// forgetTries forgets the attempts at an event that is done with.
func (t *trouble) forgetTries(id evid.ID) {
	if t == nil || t.tries == nil {
		return
	}
	t.tries = slices.DeleteFunc(t.tries, func(t tries) bool { return t.id == id })
	if len(t.tries) == 0 {
		t.tries = nil
	}
}

// forgetTriesBefore forgets the attempts at events that were dropped. It is for the
// worker that serves the subscriber: nobody else adds any.
func (s *subscriber) forgetTriesBefore(id evid.ID) {
	t := s.trouble
	if t == nil || len(t.tries) == 0 {
		return
	}
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	for len(t.tries) > 0 && t.tries[0].id.Compare(id) < 0 {
		t.tries = t.tries[1:]
	}
}
