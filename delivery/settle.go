package delivery

import (
	"fmt"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
)

// settleLocked says what becomes of an event that was attempted, and who has to
// pause; failed says that one before it in the same call has to be tried again.
func (s *subscriber) settleLocked(batch *queue.Batch, item *evid.Item, o *queue.Outcome, failed bool) {
	r := &item.Result
	if r.Answered || r.Verdict == evid.Delivered || r.Verdict == evid.Unconfirmed {
		s.lane.answeredLocked()
	}
	switch r.Verdict {
	case evid.NotSent:
	case evid.Delivered, evid.Unconfirmed:
		o.Fate, o.Unconfirmed, o.Odd = queue.Delivered, r.Verdict == evid.Unconfirmed, r.Odd
		s.lastSuccess = time.Now().UnixNano()
		s.upLocked(item)
	case evid.Rejected:
		s.lastError = r.Detail
		s.buryLocked(item, o)
	case evid.Retry:
		s.lastError = r.Detail
		s.failLocked(batch, item, o)
	case evid.Gone: // see dismiss
	}
	if !failed && r.Verdict != evid.Retry {
		s.trouble, s.tries = nil, nil
	}
}

// answeredLocked says that the destination lives.
func (l *lane) answeredLocked() {
	l.unanswered = nil
	if l.trouble != nil {
		l.trouble.endLocked(l.engine, true)
		l.trouble = nil
	}
}

// failLocked says what becomes of an event whose attempt failed, and who pauses.
func (s *subscriber) failLocked(batch *queue.Batch, item *evid.Item, o *queue.Outcome) {
	r := &item.Result
	policy := evid.PolicyOf(item.Socket)
	blame := s.blameLocked(r)
	unanswered := r.Sent && !r.Answered
	if !batch.Replay {
		s.triedLocked(item, blame == evid.TheEvent || unanswered)
	}
	switch {
	case batch.Sync, // the raiser knows
		batch.Replay && (blame == evid.TheEvent || blame == evid.TheSubscriber),
		s.tries != nil && s.tries.id == item.Event.ID && s.tries.counted >= policy.MaxAttempts,
		!batch.Replay && time.Since(item.Event.Time) >= policy.MaxAge:
		s.buryLocked(item, o)
	default:
		o.Retried = true
	}
	failed := failed{item.Event.ID, item.Event.ID, r.Detail, 1, 1}
	switch blame {
	case evid.TheDestination:
		s.downLocked(&failed)
		s.lane.failLocked(policy, r.After, &failed)
	case evid.TheSubscriber:
		s.downLocked(&failed)
		s.pauseLocked(policy, r.After, batch.Sync)
	case evid.TheEvent:
		s.pauseLocked(policy, r.After, o.Fate == queue.Dead)
	case evid.NoOne:
		s.lane.engine.scarceLocked(s.lane)
	}
}

// blameLocked says who has to pause: if two subscribers in a row get no answer it
// is their destination.
func (s *subscriber) blameLocked(r *evid.Result) evid.Blame {
	if r.Blame != evid.TheSubscriber || !r.Sent || r.Answered {
		return r.Blame
	}
	l := s.lane
	other := l.unanswered
	l.unanswered = s
	if other != nil && other != s {
		return evid.TheDestination
	}
	return r.Blame
}

// triedLocked counts a failed attempt at the event that comes next. Of several in
// one call it is the first.
func (s *subscriber) triedLocked(item *evid.Item, counts bool) {
	if s.tries == nil {
		s.tries = &tries{id: item.Event.ID, first: time.Now()}
	}
	if s.tries.id != item.Event.ID {
		return
	}
	s.tries.attempts++
	if counts {
		s.tries.counted++
	}
}

// buryLocked gives an event up after an attempt.
func (s *subscriber) buryLocked(item *evid.Item, o *queue.Outcome) {
	*o = queue.Outcome{Fate: queue.Dead, Reason: item.Result.Detail, Attempts: 1, Last: time.Now()}
	o.First = o.Last
	if t := s.tries; t != nil && t.id == item.Event.ID {
		if item.Result.Verdict == evid.Rejected {
			t.attempts++ // this one
		}
		o.Attempts, o.First = t.attempts, t.first
		s.tries = nil
	}
	s.deadLocked(&failed{item.Event.ID, item.Event.ID, o.Reason, o.Attempts, 1})
}

// expired gives up an event that is too old, without another attempt.
func (s *subscriber) expired(event *evid.Event, maxAge time.Duration, o *queue.Outcome) {
	e := s.lane.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	*o = queue.Outcome{
		Fate: queue.Dead, First: now, Last: now,
		Reason: fmt.Sprintf("not delivered within %v", maxAge),
	}
	if s.lastError != "" {
		o.Reason += ": " + s.lastError
	}
	if t := s.tries; t != nil && t.id == event.ID {
		o.Attempts, o.First = t.attempts, t.first
		s.tries = nil
	}
	s.deadLocked(&failed{event.ID, event.ID, o.Reason, o.Attempts, 1})
}

// pauseLocked makes the subscriber pause, but for one of whom nothing waits, or
// whose event is out of the way: then the next may be tried.
func (s *subscriber) pauseLocked(policy evid.Policy, atLeast time.Duration, goesOn bool) {
	if goesOn {
		s.trouble = nil
		return
	}
	if s.trouble == nil {
		s.trouble = new(trouble)
	}
	if !s.trouble.paused() {
		s.trouble.pauseLocked(s.lane.engine, policy, atLeast, s.resume)
	}
}

// dismiss ends the subscription of a subscriber that answered that it is gone. What
// waits for it is abandoned by the queue, unless it has subscribed again since.
func (s *subscriber) dismiss(batch *queue.Batch, item *evid.Item, o *queue.Outcome) {
	e := s.lane.engine
	err := batch.Subscription.Dismiss()
	if err == nil {
		return
	}
	e.log.Error("dismiss subscriber", "event", item.Event.Name, "socket", item.Socket, "err", err)
	e.mu.Lock()
	defer e.mu.Unlock()
	item.Result.Detail = "it answered that it is gone, and could not be unsubscribed: " + err.Error()
	s.buryLocked(item, o) // not again and again
}
