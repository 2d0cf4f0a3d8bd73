package delivery

import (
	"time"

	"github.com/evid/evid"
)

// A record is what was logged of a subscriber's failures.
type record struct {
	failure  failure   // the last that was logged; zero: it was delivered since
	logged   time.Time // when that was
	failures int       // attempts in a row that failed
	silent   int       // attempts in a row without a byte of reply
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

// report logs what an operator should know: the first failure, another failure,
// and when it is over; not the same failure for each event.
func (s *subscriber) report(item *evid.Item) {
	r := &item.Result
	switch r.Verdict {
	case evid.NotSent:
	case evid.Delivered, evid.Unconfirmed:
		s.reportDelivered(item)
	case evid.Gone:
		s.engine.log.Info("subscriber dismissed: it answered that it is gone", "event", item.Event.Name, "socket", item.Socket)
	case evid.Retry, evid.Rejected:
		s.reportFailure(item)
		s.reportSilence(item)
	}
}

// reportDelivered keeps the time of the last line, so that failures which come and
// go do not fill the log.
func (s *subscriber) reportDelivered(item *evid.Item) {
	t := s.trouble
	if t == nil || t.record == nil {
		return
	}
	if t.record.failure != (failure{}) {
		s.engine.log.Info("delivered again", "event", item.Event.Name, "socket", item.Socket, "failures", t.record.failures)
	}
	if time.Since(t.record.logged) >= logInterval {
		t.record = nil
	} else {
		*t.record = record{logged: t.record.logged}
	}
}

func (s *subscriber) reportFailure(item *evid.Item) {
	r := &item.Result
	t := s.trouble // settleLocked has seen to it that there is one
	if t.record == nil {
		t.record = new(record)
	}
	t.record.failures++
	if f := (failure{r.Verdict, r.Blame, r.Code}); f != t.record.failure && time.Since(t.record.logged) >= logInterval {
		t.record.failure, t.record.logged = f, time.Now()
		s.engine.log.Warn("event not delivered", "event", item.Event.Name, "socket", item.Socket,
			"id", item.Event.ID, "attempt", item.Attempt, "verdict", r.Verdict, "blame", r.Blame, "reason", r.Detail)
	}
}

// reportSilence tells the operator of a receiver that may never answer.
func (s *subscriber) reportSilence(item *evid.Item) {
	const enough = 3
	record := s.trouble.record
	if !item.Result.Sent || item.Result.Answered || item.Result.Blame == evid.TheDestination {
		record.silent = 0
		return
	}
	if record.silent++; record.silent == enough {
		s.engine.log.Warn("no byte of reply to 3 calls: if this receiver never answers, subscribe it with confirm=0",
			"event", item.Event.Name, "socket", item.Socket)
	}
}

// reportLost logs that a subscriber has fallen behind so far that it loses
// events, and reportCaughtUp how many they were.
func (s *subscriber) reportLost(lost *evid.DeadLetter) {
	if lost.Count == 0 {
		return
	}
	e := s.engine
	if s.trouble == nil || s.trouble.lost == 0 {
		e.log.Warn("events dropped: the subscriber is too far behind", "event", lost.Event, "socket", lost.Socket)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s.troubleLocked().lost += lost.Count
	s.deadLocked(&notice{lost.FirstID, lost.LastID, lost.Reason, 0, lost.Count})
}

func (s *subscriber) reportCaughtUp(sub *evid.Subscription) {
	if t := s.trouble; t != nil && t.lost > 0 {
		s.engine.log.Warn("the subscriber has caught up", "event", sub.Event, "socket", sub.Socket, "dropped", t.lost)
		t.lost = 0
	}
}
