package evid

import "time"

// A Transport delivers events to the sockets of one scheme. A transport is safe
// for use by several goroutines at once.
type Transport interface {
	// Scheme is what a socket of this transport starts with: "xmlrpc".
	Scheme() string
	// Parse reads the part of a socket after the scheme and its colon. It does
	// no I/O: names are resolved when the lane dials. The error says what was
	// expected.
	Parse(addr string) (Socket, error)
	// Lane names the lane that carries the traffic of s: the scheme, the host, the
	// port, and all else that one connection depends on.
	Lane(s Socket) string
	// Open returns a lane for s and all sockets with the same lane name. There can
	// be several of one name at a time, each with its own connection. It does no
	// I/O.
	Open(s Socket) Lane
}

// A Lane is a connection to one destination. It dials inside Deliver, and there need
// not be a connection all the time.
type Lane interface {
	// Deliver attempts a prefix of batch in order and sets the Result of each item
	// it attempted; those whose verdict is NotSent come again. It sets at least one
	// verdict other than NotSent unless the lane was closed. How long an attempt may
	// take is what its socket says. One goroutine at a time calls it.
	Deliver(batch []Item)
	// Idle says that nothing waits to be sent: what should not stay open closes. It
	// reports whether the lane should be kept, as it has learned what the next one would
	// have to learn anew, or has still something to do. Else it may be closed, until
	// there is something to send: there can be very many that have nothing to do.
	// It is called by the goroutine that calls Deliver.
	Idle() (keep bool)
	// Close closes the lane for good, from any goroutine, and may be called again.
	// A Deliver that runs
	// returns at once; Close waits for what the lane itself has started, about a
	// second at most.
	Close() error
}

// A Task is who delivers. It runs on a goroutine of its own until it is suspended, and then
// on that of whoever resumes it: one goroutine can have very many under way.
type Task interface {
	// Suspend suspends the task, then calls suspended, and returns when the task is resumed,
	// which can be before suspended returns.
	Suspend(suspended func())
	// Resume goes on with the task on the goroutine of the caller, up to where it is
	// suspended again or ends. It is called once for each time that it was suspended.
	Resume()
	// Own goes on with the task on a goroutine of its own, if it runs on another one. The
	// task calls it before what may block.
	Own()
}

// A Suspender is a Lane that does not need a goroutine while it waits for its destination.
type Suspender interface {
	Lane
	// DeliverTask is Deliver, called by a task, which may be suspended meanwhile.
	DeliverTask(task Task, batch []Item)
}

// An Item is an event on its way to one subscriber.
type Item struct {
	Event   *Event
	Socket  Socket
	Attempt int32 // 1 for the first
	Result  Result
}

// A Result is what came of an item. The zero value says that it was not sent.
type Result struct {
	Verdict  Verdict
	Blame    Blame         // Retry: who has to pause before another attempt
	Sent     bool          // a byte of the event may have reached the subscriber
	Answered bool          // a byte of reply came
	After    time.Duration // Retry: not before this, as the subscriber asked; 0: it did not
	Code     int           // the status or fault code of the reply; 0: none
	Detail   string        // what happened, for people: one short line; empty for a plain delivery
	Odd      bool          // Delivered, but by a reply that is not what the protocol has
}

// A Verdict says what an attempt came to.
type Verdict uint8

// The verdicts.
const (
	NotSent     Verdict = iota // not attempted; it comes again
	Delivered                  // the subscriber confirmed it
	Unconfirmed                // all bytes written, to a subscriber that never answers
	Retry                      // not delivered; worth another attempt
	Rejected                   // the subscriber refused this event for good
	Gone                       // the subscriber wants no events any more
)

func (v Verdict) String() string {
	return [...]string{"not sent", "delivered", "unconfirmed", "retry", "rejected", "gone"}[v]
}

// Blame says where the cause of a [Retry] lies: who has to pause before another
// attempt makes sense.
type Blame uint8

// Who can be blamed.
const (
	NoOne          Blame = iota
	TheEvent             // this event only: the subscriber may take others
	TheSubscriber        // this subscriber; others of the destination go on
	TheDestination       // all subscribers of the lane
	TheProcess           // this one: no file descriptor was free
)

func (b Blame) String() string {
	return [...]string{"no one", "the event", "the subscriber", "the destination", "the process"}[b]
}
