package evid

import (
	"context"
	"math"
	"time"
)

// Never is the expiry of a subscription that does not expire.
const Never time.Duration = math.MaxInt64

// A Subscription asks for the events of one name to be delivered to one socket. It
// does not change: subscribing again makes another one.
type Subscription struct {
	Event     string
	Socket    Socket
	Transport Transport     // which parsed the socket
	Sync      bool          // a raise waits for one attempt at this subscriber
	Script    bool          // the script has subscribed it: see [Interface.SubscribeFromScript]
	Expire    time.Duration // as subscribed; Never: does not expire
	Expires   time.Time     // when it ends by the wall clock; zero: never

	dismiss func(*Subscription) error // nil: nobody knows of it
}

// Dismiss ends the subscription: the subscriber answered that it is gone. One that
// was renewed since stays, and so does one of the script. An error says that it has
// ended, but comes back if the process ends before that can be saved.
func (s *Subscription) Dismiss() error {
	if s.dismiss == nil {
		return nil
	}
	return s.dismiss(s)
}

// A Keeper keeps the events that were raised until they are delivered: the queue; see
// [Restorer] for one that keeps subscriptions as well. It takes calls from several
// goroutines at once and brings them into one order: an event goes to just those
// subscriptions that were opened before it was accepted and not closed before that.
type Keeper interface {
	// Accept numbers the event and keeps it for every open subscription to its
	// name. It reports whether it was kept; false without an error says that
	// nobody is subscribed. An error together with true says that the event was
	// kept but a synchronous subscriber did not get it. Accept waits for
	// synchronous subscribers, at most until ctx is done, and for nobody else.
	Accept(ctx context.Context, e *Event) (kept bool, err error)
	// OpenSub begins to accept events for a subscription, from the next one on.
	// For a subscriber that is already known it replaces socket and options, also
	// for what still waits. It may wait for storage. After an error a subscription that
	// is new is not open; one that was to be replaced may have been.
	OpenSub(s *Subscription) error
	// CloseSub ends what is accepted for a subscriber. Unknown ones are ignored. It may
	// wait for storage. The subscription is closed in any case: an error says that this
	// could not be saved, and that it comes back if the process ends before it could be.
	// That it has Expired need not be saved at once where its Expires is.
	CloseSub(event, key string, why Close) error
}

// Close says why a subscription ends, and with that what becomes of the events
// that wait.
type Close uint8

// The ways in which a subscription ends.
const (
	Expired      Close = iota // what waits is still delivered
	Unsubscribed              // what waits is discarded, counted as abandoned
	Dismissed                 // the subscriber answered that it is gone: as Unsubscribed
)

func (c Close) String() string {
	return [...]string{"expired", "unsubscribed", "dismissed"}[c]
}

// Counts is what became of the events of one subscriber, or of all. At any time
//
//	Accepted = Delivered + Dead + Dropped + Abandoned + Waiting
//
// and all but Waiting only grow.
type Counts struct {
	Accepted    uint64 // kept for the subscriber
	Delivered   uint64 // confirmed, or for a subscriber that never answers: written
	Dead        uint64 // given up: rejected, attempted in vain, or too old
	Dropped     uint64 // lost because the subscriber was too far behind
	Abandoned   uint64 // discarded by unsubscribing
	Waiting     uint64 // neither of these yet
	Unconfirmed uint64 // of Delivered: written only, no reply expected
	Odd         uint64 // of Delivered: confirmed by a reply that is no reply of the protocol
	Retried     uint64 // attempts that failed and were, or are to be, made again
}

// Add adds other to c.
func (c *Counts) Add(other Counts) {
	c.Accepted += other.Accepted
	c.Delivered += other.Delivered
	c.Dead += other.Dead
	c.Dropped += other.Dropped
	c.Abandoned += other.Abandoned
	c.Waiting += other.Waiting
	c.Unconfirmed += other.Unconfirmed
	c.Odd += other.Odd
	c.Retried += other.Retried
}

// A Subscriber is a subscription as [Interface.Subscribers] lists it.
type Subscriber struct {
	Event  string
	Socket Socket
	Expire time.Duration // as subscribed; Never: does not expire
	TTL    time.Duration // what is left of Expire; Never: does not expire
	Script bool          // the script has subscribed it
}

// An EventInfo is a registered event as [Interface.Events] lists it.
type EventInfo struct {
	Name string
	ID   int // in order of registration, from 0
}
