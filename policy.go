package evid

import "time"

// A Policy says how hard the events of a subscriber are tried, and over what. Its
// socket has it: see [PolicySocket].
type Policy struct {
	// Sync makes a raise wait for one attempt at the subscriber (modparam sync_mode):
	// see [Interface.Raise]. What fails then is not tried again.
	Sync bool
	// MaxAttempts bounds the attempts at one event that the subscriber takes offence
	// at, or does not answer at all. At least 1.
	MaxAttempts int
	// MaxAge bounds the time from the raise of an event to its last attempt.
	MaxAge time.Duration
	// RetryMin is how long the pause after a first failure may be. It doubles with
	// each further one, up to RetryMax; the pause itself is random between 0 and that.
	RetryMin, RetryMax time.Duration
	// Connections is how many subscribers of a lane may be called at a time. At
	// least 1; all subscribers of a lane have the same.
	Connections int
	// OwnLane gives the subscriber a lane of its own.
	OwnLane bool
}

// DefaultPolicy returns the policy of subscribers whose socket has none: 8 attempts
// within 24 hours, pauses from 1 second to 1 minute, one call at a time.
func DefaultPolicy() Policy {
	return Policy{
		MaxAttempts: 8,
		MaxAge:      24 * time.Hour,
		RetryMin:    time.Second,
		RetryMax:    time.Minute,
		Connections: 1,
	}
}

// A PolicySocket is a [Socket] that says how hard its events are tried.
type PolicySocket interface {
	Socket
	Policy() Policy
}

// PolicyOf returns the policy of a socket.
func PolicyOf(s Socket) Policy {
	if p, ok := s.(PolicySocket); ok {
		return p.Policy()
	}
	return DefaultPolicy()
}
