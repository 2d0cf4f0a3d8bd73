package evid

import "time"

// A Status says how a subscriber is doing.
type Status struct {
	State       State
	Counts      Counts
	LastError   string    // why the last attempt that failed did; empty: none has
	LastSuccess time.Time // when an event was last delivered; zero: never
	NextAttempt time.Time // with Retrying and Down: when the pause ends; zero: it is being tried
}

// A State is the state of a subscriber.
type State uint8

// The states of a subscriber.
const (
	Up       State = iota // its last event was delivered, or there was none yet
	Retrying              // it has refused an event that will be tried again; it is alive
	Down                  // it, or its destination, is not to be reached or does not answer as it should
)

func (s State) String() string { return [...]string{"up", "retrying", "down"}[s] }
