package delivery

import (
	"errors"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
)

// A subscriber is the engine's side of a cursor. Whoever has taken it from its
// lane's line owns it; nobody does while the queue has nothing for it.
type subscriber struct {
	engine *Engine
	cursor *queue.Cursor
	socket evid.Socket
	lane   *lane

	failure  failure   // the last that was logged; zero: it was delivered since
	logged   time.Time // when that was
	failures int       // events in a row that were not delivered
	silent   int       // events in a row without a byte of reply
	dropped  uint64    // events lost since it fell behind
}

// A subscriber whose failures keep changing has one line in the log in this time.
const logInterval = time.Second

// A failure is what tells one reason not to deliver from another. The text of
// a reply is no part of it: the subscriber could make each one different.
type failure struct {
	verdict evid.Verdict
	blame   evid.Blame
	code    int
}

// Wake implements [queue.Reader].
func (s *subscriber) Wake() {
	s.engine.begin()
	s.lane.enqueue(s)
}

// Discard implements [queue.Reader].
func (s *subscriber) Discard() { s.engine.cutShort(s) }

// Detach implements [queue.Reader].
func (s *subscriber) Detach() { s.engine.leave(s.lane) }

// giveBack returns an event that was not attempted and waits for the next turn.
func (s *subscriber) giveBack() {
	s.cursor.Done(queue.Outcome{})
	s.lane.enqueue(s)
}

// settle tells the queue what became of an item.
func (s *subscriber) settle(item *evid.Item, sub evid.Subscription) {
	r := &item.Result
	s.report(item)
	var outcome queue.Outcome
	switch r.Verdict {
	case evid.NotSent:
	case evid.Delivered, evid.Unconfirmed:
		outcome.Delivered = 1
		if r.Verdict == evid.Unconfirmed {
			outcome.Unconfirmed = 1
		}
		if r.Odd {
			outcome.Odd = 1
		}
	case evid.Retry, evid.Rejected:
		outcome.Dead = 1
		outcome.Err = errors.New(r.Detail)
		if r.Verdict == evid.Retry {
			outcome.Retried = 1
		}
	case evid.Gone:
		// This and what else waits for it is abandoned by the queue, unless it
		// has subscribed again since.
		if err := sub.Dismiss(); err != nil {
			s.engine.log.Error("dismiss subscriber", "event", item.Event.Name, "socket", item.Socket, "err", err)
			outcome.Dead, outcome.Err = 1, err // not again and again
		}
	}
	s.cursor.Done(outcome)
}

// report logs what an operator should know: the first failure, another failure,
// and when it is over; not the same failure for each event.
func (s *subscriber) report(item *evid.Item) {
	r := &item.Result
	log := s.engine.log
	switch r.Verdict {
	case evid.NotSent:
	case evid.Delivered, evid.Unconfirmed:
		if s.failure != (failure{}) {
			log.Info("delivered again", "event", item.Event.Name, "socket", item.Socket, "failures", s.failures)
		}
		s.failure, s.failures, s.silent = failure{}, 0, 0
	case evid.Gone:
		log.Info("subscriber dismissed: it answered that it is gone", "event", item.Event.Name, "socket", item.Socket)
	case evid.Retry, evid.Rejected:
		s.failures++
		if f := (failure{r.Verdict, r.Blame, r.Code}); f != s.failure && time.Since(s.logged) >= logInterval {
			s.failure, s.logged = f, time.Now()
			log.Warn("event not delivered", "event", item.Event.Name, "socket", item.Socket,
				"id", item.Event.ID, "verdict", r.Verdict, "blame", r.Blame, "reason", r.Detail)
		}
		s.reportSilence(item)
	}
}

// reportSilence tells the operator of a receiver that may never answer.
func (s *subscriber) reportSilence(item *evid.Item) {
	const enough = 3
	if !item.Result.Sent || item.Result.Answered || item.Result.Blame == evid.TheDestination {
		s.silent = 0
		return
	}
	if s.silent++; s.silent == enough {
		s.engine.log.Warn("no byte of reply to 3 events: if this receiver never answers, subscribe it with confirm=0",
			"event", item.Event.Name, "socket", item.Socket)
	}
}

// reportDropped logs that a subscriber has fallen behind so far that it loses
// events, and how many they were when it has caught up.
func (s *subscriber) reportDropped(b queue.Batch) {
	if b.Dropped > 0 && s.dropped == 0 {
		s.engine.log.Warn("events dropped: the subscriber is too far behind",
			"event", b.Subscription.Event, "socket", b.Subscription.Socket)
	}
	s.dropped += b.Dropped
	if b.Events == 0 && s.dropped > 0 {
		s.engine.log.Warn("the subscriber has caught up",
			"event", b.Subscription.Event, "socket", b.Subscription.Socket, "dropped", s.dropped)
		s.dropped = 0
	}
}
