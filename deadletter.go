package evid

import "time"

// A DeadLetter is an event that was given up for one subscriber, kept with the
// reason; or, without Raised, a number of events that the subscriber lost because
// it was too far behind.
type DeadLetter struct {
	Number   uint64 // names the letter; counts from 1
	Event    string // the event's name
	Socket   Socket // the subscriber, as it was then
	Reason   string // why it was given up, for people
	Attempts int
	First    time.Time // of the first attempt; without attempts as Last
	Last     time.Time // of the last attempt, or when it was given up
	Count    uint64    // how many events the letter is about: 1 if there is Raised
	FirstID  ID        // of the first of these; of events that were lost, at the earliest
	LastID   ID        // of the last; of events that were lost, at the latest
	Raised   *Event    // what [Keeper] can deliver again; nil: those events are gone
}

// A DeadLetterFilter chooses dead letters. The zero value chooses all.
type DeadLetterFilter struct {
	Event  string // empty: of any event
	Key    string // of the subscriber's socket; empty: of any
	Number uint64 // 0: any
}

// Matches reports whether the filter chooses d.
func (f DeadLetterFilter) Matches(d *DeadLetter) bool {
	return (f.Event == "" || f.Event == d.Event) &&
		(f.Key == "" || f.Key == d.Socket.Key()) &&
		(f.Number == 0 || f.Number == d.Number)
}
