package evid

import (
	"errors"
	"fmt"
	"iter"
	"time"
)

// A Restorer is a [Keeper] that keeps subscriptions across restarts.
type Restorer interface {
	Keeper
	// Restored lists the subscriptions that it has kept, the oldest first.
	// [Interface.Restore] opens each with the socket that its text stands for: until
	// then the Keeper keeps events for it and delivers none. There is nothing to save
	// when it is opened as it is listed.
	Restored() iter.Seq[Restored]
	// Discard ends a subscription that was kept across a restart and not opened since,
	// such as one whose socket no transport reads any more: event and socket are as
	// Restored lists them. What waits for it is discarded and counted as abandoned. It
	// reports whether there was one. As with CloseSub it has ended in any case: an error
	// says that this could not be saved.
	Discard(event, socket string) (found bool, err error)
}

// Restored is a [Subscription] as it was kept across a restart.
type Restored struct {
	Event   string
	Socket  string        // as [Socket.String] prints it
	Expire  time.Duration // as subscribed; Never: does not expire
	Expires time.Time     // when it ends by the wall clock; zero: never
	Script  bool          // the script has subscribed it
	Ended   bool          // it has ended, and events still wait for it
}

// A RestoreError says why a subscription was not restored.
type RestoreError struct {
	Restored
	Err error
}

func (e *RestoreError) Error() string {
	return fmt.Sprintf("restore subscription of %q to %q: %v", e.Socket, e.Event, e.Err)
}

// Unwrap returns what is wrong with the subscription.
func (e *RestoreError) Unwrap() error { return e.Err }

// Restore brings back the subscriptions that the Keeper has kept from before a restart,
// if it is a [Restorer]. It is called once, before anything is raised. It registers
// their events and returns how many are subscribed again. One whose time is up is
// closed as [Expired], and what waits for it is delivered; one that was subscribed again
// since stays as it is now.
//
// Each of those that failed has an error, such as for a socket of a transport that is no
// longer there. The Keeper still has them, and what waits for them; who does not want that
// calls [Interface.Unsubscribe].
func (i *Interface) Restore() (restored int, failed []*RestoreError) {
	keeper, keeps := i.keeper.(Restorer)
	if !keeps {
		return 0, nil
	}
	for r := range keeper.Restored() {
		subscribed, err := i.restore(r)
		if err != nil {
			failed = append(failed, &RestoreError{r, err})
		}
		if subscribed {
			restored++
		}
	}
	i.subsMu.Lock()
	defer i.subsMu.Unlock()
	i.expiries.armLocked(i.expire)
	return restored, failed
}

// restore brings back one subscription, but for the timer. It reports whether it is
// subscribed again.
func (i *Interface) restore(r Restored) (subscribed bool, err error) {
	transport, sock, err := i.parseSocket(r.Socket)
	if err != nil {
		return false, err
	}
	info, err := i.register(r.Event)
	if err != nil {
		return false, err
	}
	subs := i.change(info.Name)
	defer subs.changing.Unlock()
	key := sock.Key()
	switch {
	case i.closed.Load():
		return false, ErrClosed
	case subs.byKey[key] != nil:
		return false, nil
	}
	sub := i.newSubscription(info.Name, transport, sock, r.Expire)
	sub.Script = r.Script
	left := Never
	if !r.Expires.IsZero() {
		now := time.Now()
		left = min(r.Expires.Sub(now), r.Expire) // the clock may have been set back
		sub.Expires = now.Add(left)
	} else {
		sub.Expire, sub.Expires = Never, time.Time{}
	}
	if err := i.keeper.OpenSub(sub); err != nil {
		return false, err
	}
	if left <= 0 || r.Ended {
		return false, i.keeper.CloseSub(info.Name, key, Expired)
	}
	i.subsMu.Lock()
	defer i.subsMu.Unlock()
	i.addLocked(subs, sub)
	subs.byKey[key].old = true
	return true, nil
}

// EndOldScript ends what an earlier script has subscribed and this one has not: each
// restored subscription of the script that does not expire and that nobody has
// subscribed again since. It is to be called once after [Interface.Restore], when all of
// the script has run that subscribes; a subscription that it wanted to renew and could
// not, such as because of a full disk, stays. Those that expire end at their time.
//
// They end as [Expired]: what waits is delivered. Where that cannot be, because the socket
// is not to be read any more, it is discarded and counted as abandoned.
//
// It returns those that have ended, the oldest first. The error says of which of them it
// could not be saved: they come back with the next start. On an interface that is closed
// nothing ends, and the error wraps [ErrClosed].
func (i *Interface) EndOldScript() (ended []Restored, err error) {
	keeper, keeps := i.keeper.(Restorer)
	if !keeps {
		return nil, nil
	}
	var errs []error
	for r := range keeper.Restored() {
		if i.closed.Load() { // then the script could not subscribe again what it wants
			errs = append(errs, ErrClosed)
			break
		}
		if !r.Script || !r.Expires.IsZero() {
			continue
		}
		hasEnded, err := i.endOld(r)
		if err != nil {
			errs = append(errs, fmt.Errorf("end subscription of %q to %q: %w", r.Socket, r.Event, err))
		}
		if hasEnded {
			ended = append(ended, r)
		}
	}
	return ended, errors.Join(errs...)
}

// endOld ends one subscription of the script, if it is old. It reports whether it was.
func (i *Interface) endOld(r Restored) (ended bool, err error) {
	_, sock, err := i.parseSocket(r.Socket)
	if err != nil || CheckEventName(r.Event) != nil {
		return i.discard(r.Event, r.Socket)
	}
	subs := i.change(r.Event)
	defer subs.changing.Unlock()
	s := subs.byKey[sock.Key()]
	switch {
	case s != nil && s.old && s.Script:
		return true, i.closeLocked(subs, s, Expired)
	case s != nil || r.Ended:
		return false, nil
	default: // the keeper could not open it
		return true, i.keeper.CloseSub(r.Event, sock.Key(), Expired)
	}
}

// endByText ends a subscription whose socket cannot be parsed, such as one of a route that
// the script no longer has. It reports whether there is one with this text.
func (i *Interface) endByText(event, socket string) (found bool, err error) {
	info, known := i.Event(event)
	if !known {
		return i.discard(event, socket)
	}
	subs := i.change(info.Name)
	defer subs.changing.Unlock()
	for _, s := range subs.byAge {
		if s.Socket.String() == socket {
			return true, i.closeLocked(subs, s, Unsubscribed)
		}
	}
	return i.discard(event, socket)
}

// discard ends a subscription that could not be restored. It reports whether there is
// such a one.
func (i *Interface) discard(event, socket string) (found bool, err error) {
	keeper, keeps := i.keeper.(Restorer)
	if !keeps {
		return false, nil
	}
	return keeper.Discard(event, socket)
}
