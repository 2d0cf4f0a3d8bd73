package delivery

import (
	"errors"

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

	failure  string // of the last event; empty: it was delivered
	failures int    // in a row with that failure
}

// Wake implements [queue.Reader].
func (s *subscriber) Wake() {
	s.engine.begin()
	s.lane.enqueue(s)
}

// Detach implements [queue.Reader].
func (s *subscriber) Detach() { s.engine.leave(s.lane) }

// giveBack returns an event that was not attempted and waits for the next turn.
func (s *subscriber) giveBack() {
	s.cursor.Done(queue.Outcome{})
	s.lane.enqueue(s)
}

// settle tells the queue what became of an item.
func (s *subscriber) settle(item *evid.Item) {
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
		if err := s.engine.dismiss(item.Event.Name, item.Socket); err != nil {
			s.engine.log.Error("dismiss subscriber", "event", item.Event.Name, "socket", item.Socket, "err", err)
		}
	}
	s.cursor.Done(outcome)
}

// report logs what an operator should know: the first failure, each other
// failure, and when it is over; not the same failure for each event.
func (s *subscriber) report(item *evid.Item) {
	r := &item.Result
	switch r.Verdict {
	case evid.NotSent:
	case evid.Delivered, evid.Unconfirmed:
		if s.failures > 0 {
			s.engine.log.Info("delivered again", "event", item.Event.Name, "socket", item.Socket, "failures", s.failures)
		}
		s.failure, s.failures = "", 0
	case evid.Gone:
		s.engine.log.Info("subscriber dismissed: it answered that it is gone", "event", item.Event.Name, "socket", item.Socket)
	case evid.Retry, evid.Rejected:
		if r.Detail != s.failure {
			s.engine.log.Warn("event not delivered", "event", item.Event.Name, "socket", item.Socket,
				"id", item.Event.ID, "verdict", r.Verdict, "blame", r.Blame, "reason", r.Detail)
			s.failure = r.Detail
		}
		s.failures++
	}
}
