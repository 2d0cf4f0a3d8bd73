package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/evid/evid"
)

// A syncRaise is a raiser that waits for one attempt at each synchronous
// subscriber. The list's lock guards it until done is closed.
type syncRaise struct {
	pending int
	errs    []error
	done    chan struct{} // closed when nothing is pending
}

// expectLocked returns what the raiser of the next event has to wait for, of which
// the cursors know: nil without synchronous subscribers. It is an error if
// something waits before the event at one of them.
func (l *list) expectLocked() (*syncRaise, error) {
	if l.sync == 0 {
		return nil, nil
	}
	var waiting []*Cursor
	var errs []error
	for _, c := range l.cursors {
		if !c.open || !c.sub.Sync {
			continue
		}
		waiting = append(waiting, c)
		// With those that it does not know yet to be lost, and with dead letters.
		if n := c.waitingLocked(0, l.ring.tail) + uint64(len(c.replaysLocked())+l.committing); n > 0 {
			errs = append(errs, fmt.Errorf("subscriber %q: events wait before it: %d", c.sub.Socket, n))
		}
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	r := &syncRaise{pending: len(waiting), done: make(chan struct{})}
	for _, c := range waiting {
		c.extraLocked().raise = r
	}
	return r, nil
}

// unexpectLocked takes back what expectLocked has told the cursors: the event is not
// kept.
func (l *list) unexpectLocked() {
	for _, c := range l.cursors {
		if c.raiseLocked() == nil {
			continue
		}
		c.extra.raise = nil
		if len(c.replaysLocked()) > 0 && c.isParkedLocked() { // they waited for it
			c.unparkLocked()
			l.queue.deliverer.Wake([]*Cursor{c})
		}
	}
}

// resolve tells what became of one of the attempts.
func (r *syncRaise) resolve(s evid.Socket, err error) {
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("subscriber %q: %w", s, err))
	}
	if r.pending--; r.pending == 0 {
		close(r.done)
	}
}

func (r *syncRaise) wait(ctx context.Context, closed <-chan struct{}) error {
	select {
	case <-r.done:
		return errors.Join(r.errs...)
	case <-ctx.Done():
		return fmt.Errorf("wait for synchronous subscribers: %w", context.Cause(ctx))
	case <-closed:
		return fmt.Errorf("wait for synchronous subscribers: %w", evid.ErrClosed)
	}
}
