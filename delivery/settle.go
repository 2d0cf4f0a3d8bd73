package delivery

import (
	"fmt"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
)

// settleLocked says what becomes of an event that was attempted up to now, and who has
// to pause; failed says that one before it in the same call has to be tried again.
func (s *subscriber) settleLocked(batch *queue.Batch, item *evid.Item, o *queue.Outcome, now time.Time, failed bool) {
	r := &item.Result
	if r.Verdict == evid.Gone && batch.Subscription.Script {
		r.Verdict, r.Detail = evid.Rejected, "it answered that it is gone ("+r.Detail+"), but the script has subscribed it"
	}
	if r.Answered || r.Verdict == evid.Delivered || r.Verdict == evid.Unconfirmed {
		s.lane.answeredLocked()
	}
	switch r.Verdict {
	case evid.NotSent, evid.Gone: // the rest is not attempted; see dismiss
		return
	case evid.Retry:
		s.troubleLocked().lastError = r.Detail
		s.retryLocked(batch, item, o)
		return
	case evid.Delivered, evid.Unconfirmed:
		o.Fate, o.Unconfirmed, o.Odd = queue.Delivered, r.Verdict == evid.Unconfirmed, r.Odd
		s.lastSuccess = now.UnixNano()
		s.upLocked(item)
		s.trouble.forgetTries(item.Event.ID)
	case evid.Rejected:
		s.troubleLocked().lastError = r.Detail
		s.upLocked(item) // it answers as it should
		s.buryLocked(batch, item, o)
	}
	if !failed && s.trouble != nil {
		s.trouble.backoff = nil
	}
}

// retryLocked says what becomes of an event whose attempt failed, and who pauses.
func (s *subscriber) retryLocked(batch *queue.Batch, item *evid.Item, o *queue.Outcome) {
	policy := evid.PolicyOf(item.Socket)
	blame := s.blameLocked(&item.Result)
	switch {
	case batch.Replay:
		s.replayFailedLocked(batch, item, o, blame)
	case batch.Sync || s.triedLocked(item, blame, &policy): // with the first the raiser knows
		s.buryLocked(batch, item, o)
	default:
		o.Retried = true
	}
	about := aboutEvent(item, item.Result.Detail)
	switch blame {
	case evid.TheDestination:
		s.downLocked(about)
		s.lane.failLocked(&policy, item.Result.After, about.reason)
	case evid.TheSubscriber:
		s.downLocked(about)
		s.pauseLocked(&policy, item.Result.After)
	case evid.TheEvent:
		if o.Fate != queue.Dead { // else it is out of the way
			s.pauseLocked(&policy, item.Result.After)
		}
	case evid.TheProcess:
		s.engine.scarceLocked(s.lane)
	case evid.NoOne:
		s.lane.stallLocked()
	}
}

// replayFailedLocked says what becomes of a dead letter that could not be
// delivered: it stays one. If that is because of the event, others can be tried.
func (s *subscriber) replayFailedLocked(batch *queue.Batch, item *evid.Item, o *queue.Outcome, blame evid.Blame) {
	s.buryLocked(batch, item, o)
	if blame != evid.TheEvent {
		o.Fate, o.Retried = queue.Waits, true
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

// triedLocked counts a failed attempt at an event, and reports whether it was the
// last.
func (s *subscriber) triedLocked(item *evid.Item, blame evid.Blame, policy *evid.Policy) (last bool) {
	t := s.trouble.triesAt(item.Event.ID)
	if t == nil {
		t = s.troubleLocked().addTries(item.Event.ID)
	}
	t.attempts++
	if blame == evid.TheEvent || item.Result.Sent && !item.Result.Answered {
		t.counted++
	}
	return t.counted >= policy.MaxAttempts || time.Since(item.Event.Time) >= policy.MaxAge
}

// buryLocked gives an event up after an attempt.
func (s *subscriber) buryLocked(batch *queue.Batch, item *evid.Item, o *queue.Outcome) {
	now := time.Now()
	*o = queue.Outcome{Fate: queue.Dead, Reason: item.Result.Detail, Attempts: 1, First: now, Last: now}
	if t := s.trouble.triesAt(item.Event.ID); t != nil && !batch.Replay {
		o.Attempts, o.First = t.attempts, t.first
		if item.Result.Verdict == evid.Rejected {
			o.Attempts++ // this one
		}
		s.trouble.forgetTries(item.Event.ID)
	}
	about := aboutEvent(item, o.Reason)
	about.attempts = o.Attempts
	s.deadLocked(about)
}

// expired gives up an event that is too old, without another attempt.
func (s *subscriber) expired(event *evid.Event, maxAge time.Duration, o *queue.Outcome) {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	now := time.Now()
	*o = queue.Outcome{
		Fate: queue.Dead, First: now, Last: now,
		Reason: fmt.Sprintf("not delivered within %v", maxAge),
	}
	if last := s.trouble.failure(); last != "" {
		o.Reason += ": " + last
	}
	if t := s.trouble.triesAt(event.ID); t != nil {
		o.Attempts, o.First = t.attempts, t.first
		s.trouble.forgetTries(event.ID)
	}
	s.deadLocked(&notice{event.ID, event.ID, o.Reason, o.Attempts, 1})
}

// pauseLocked makes the subscriber pause.
func (s *subscriber) pauseLocked(policy *evid.Policy, atLeast time.Duration) {
	t := s.troubleLocked()
	if t.backoff == nil {
		t.backoff = new(backoff)
	}
	if !t.backoff.pauses() {
		t.backoff.failLocked(s.engine, policy, atLeast, s.resume)
	}
}

// dismiss ends the subscription of a subscriber that answered that it is gone. What
// waits for it is abandoned by the queue, unless it has subscribed again since.
func (s *subscriber) dismiss(batch *queue.Batch, item *evid.Item) {
	if err := batch.Subscription.Dismiss(); err != nil {
		s.engine.log.Error("dismiss subscriber: it comes back if evid ends before that is saved",
			"event", item.Event.Name, "socket", item.Socket, "err", err)
	}
}
