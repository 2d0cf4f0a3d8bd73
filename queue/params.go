package queue

import "github.com/evid/evid/modparam"

// Params are the parameters of module queue.
type Params struct {
	MaxEvents          int    // events that one list holds
	MaxBytes           int    // bytes of the events that one list holds
	OnFull             string // what becomes of an event for which a list has no room: DropOldest or Reject
	MaxDeadLetters     int    // dead letters that are kept
	MaxDeadLetterBytes int    // bytes of the dead letters that are kept
}

// The values of Params.OnFull.
const (
	DropOldest = "drop_oldest" // the oldest is dropped for those that are behind
	Reject     = "reject"      // the raise fails, and nobody gets the event
)

// DefaultParams returns the values that parameters have when nothing is said.
func DefaultParams() Params {
	return Params{
		MaxEvents:          1024,
		MaxBytes:           8 << 20,
		OnFull:             DropOldest,
		MaxDeadLetters:     100_000,
		MaxDeadLetterBytes: 64 << 20,
	}
}

// Modparams lists the parameters for the script.
func (p *Params) Modparams() []modparam.Param {
	return []modparam.Param{
		{
			Name: "max_events", Value: modparam.Int(&p.MaxEvents, 1, 16<<20),
			Usage: "events that wait under one event name, at most",
		},
		{
			Name: "max_bytes", Value: modparam.Int(&p.MaxBytes, 1<<20, 1<<40),
			Usage: "bytes of events that wait under one event name, at most",
		},
		{
			Name: "on_full", Value: modparam.OneOf(&p.OnFull, DropOldest, Reject),
			Usage: "with as many events waiting: drop the oldest, or reject the raise",
		},
		{
			Name: "max_dead_letters", Value: modparam.Int(&p.MaxDeadLetters, 1, 16<<20),
			Usage: "dead letters that are kept, at most; the oldest is purged",
		},
		{
			Name: "max_dead_letter_bytes", Value: modparam.Int(&p.MaxDeadLetterBytes, 1<<20, 1<<40),
			Usage: "bytes of dead letters that are kept, at most; the oldest is purged",
		},
	}
}
