package queue

import (
	"time"

	"github.com/evid/evid/modparam"
)

// Params are the parameters of module queue that do not depend on where it keeps
// events.
type Params struct {
	Mode               string        // where events are kept: Durable or Memory
	PersistSubscribers bool          // Durable: subscriptions outlive the process
	MaxEvents          int           // Memory: events under one name, 0: 1024; Durable: events in the log, 0: no limit
	MaxBytes           int           // Memory: bytes of these, 0: 8 MiB; Durable: bytes of the log, 0: by what is free at the start
	MaxAge             time.Duration // Durable: how old an event in the log can be; 0: no limit
	OnFull             string        // what becomes of an event for which there is no room: DropOldest or Reject
	MaxDeadLetters     int           // dead letters that are kept
	MaxDeadLetterBytes int           // bytes of the dead letters that are kept
}

// The values of Params.Mode.
const (
	Durable = "durable" // on disk before the raiser hears OK
	Memory  = "memory"  // in memory only
)

// The values of Params.OnFull.
const (
	DropOldest = "drop_oldest" // the oldest is dropped for those that are behind
	Reject     = "reject"      // the raise fails, and nobody gets the event
)

// limits bound what one list has in memory.
type limits struct{ events, bytes int }

// standardMemory are the limits of a list in memory if nothing else is said.
func standardMemory() limits { return limits{events: 1024, bytes: 8 << 20} }

// memoryOfAll bounds the bytes that all lists of a queue on disk have in memory: there
// can be very many names.
const memoryOfAll = 128 << 20

// memory returns the limits of the lists of a queue in memory.
func (p *Params) memory() limits {
	l := standardMemory()
	if p.MaxEvents > 0 {
		l.events = p.MaxEvents
	}
	if p.MaxBytes > 0 {
		l.bytes = p.MaxBytes
	}
	return l
}

// DefaultParams returns the values that parameters have when nothing is said.
func DefaultParams() Params {
	return Params{
		Mode:               Durable,
		PersistSubscribers: true,
		MaxAge:             7 * 24 * time.Hour,
		OnFull:             DropOldest,
		MaxDeadLetters:     100_000,
		MaxDeadLetterBytes: 64 << 20,
	}
}

// Modparams lists the parameters for the script.
func (p *Params) Modparams() []modparam.Param {
	return []modparam.Param{
		{
			Name: "mode", Value: modparam.OneOf(&p.Mode, Durable, Memory),
			Usage: "durable: events are on disk before the raiser hears OK; memory: they are lost with the process",
		},
		{
			Name: "persist_subscribers", Value: modparam.Bool(&p.PersistSubscribers),
			Usage: "mode durable: subscriptions outlive the process",
		},
		{
			Name: "max_events", Value: modparam.Int(&p.MaxEvents, 0, 1<<40),
			Usage: "events that wait, at most: mode memory, under one event name, with 0 1024; mode durable, in all, with 0 no limit",
		},
		{
			Name: "max_bytes", Value: modparam.Int(&p.MaxBytes, 0, 1<<50),
			Usage: "bytes of events that wait, at most: mode memory, under one event name, with 0 8 MiB; mode durable, in all, with 0 three quarters of what is free and at least 16 MiB less, but 8 MiB",
		},
		{
			Name: "max_age", Value: modparam.Duration(&p.MaxAge, 0, 10*365*24*time.Hour),
			Usage: "mode durable: how long an event is kept, whoever needs it; 0: no limit",
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
