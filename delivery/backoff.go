package delivery

import (
	"math/rand/v2"
	"time"

	"github.com/evid/evid"
)

// A backoff makes a destination, or a subscriber, pause: longer after each failure
// in a row. The engine's lock guards it.
type backoff struct {
	reason   string        // why it pauses
	failures int           // in a row
	until    time.Duration // the end of the pause
	timer    *time.Timer   // of the pause; nil: it is over
	stalls   bool          // it pauses for want of file descriptors
}

// pauses reports whether there is a pause; nil has none.
func (b *backoff) pauses() bool { return b != nil && b.timer != nil }

// stalling reports whether there is a pause for want of file descriptors.
func (b *backoff) stalling() bool { return b.pauses() && b.stalls }

// failLocked begins a pause of a random time: after each failure in a row up to
// twice as long. At its end after is called.
func (b *backoff) failLocked(e *Engine, policy *evid.Policy, atLeast time.Duration, after func()) {
	longest := policy.RetryMax
	if b.failures < 32 && policy.RetryMin < longest>>b.failures {
		longest = policy.RetryMin << b.failures
	}
	b.failures++
	b.pauseLocked(e, max(rand.N(max(longest, 1)), atLeast), after)
}

func (b *backoff) pauseLocked(e *Engine, pause time.Duration, after func()) {
	b.until = e.now() + pause
	b.timer = time.AfterFunc(pause, after)
}

// endLocked ends the pause, if there is one and its time has come or it is to end
// early, and reports whether it did.
func (b *backoff) endLocked(e *Engine, early bool) (ended bool) {
	if !b.pauses() || e.closed || !early && e.now() < b.until {
		return false
	}
	b.stopLocked(e)
	return true
}

// stopLocked stops the timer of a pause, if there is one.
func (b *backoff) stopLocked(e *Engine) {
	if !b.pauses() {
		return
	}
	b.timer.Stop()
	b.timer = nil
	if b.stalls {
		b.stalls = false
		e.stalled--
	}
}
