package evid

import (
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
}

// Restored is a [Subscription] as it was kept across a restart.
type Restored struct {
	Event   string
	Socket  string        // as [Socket.String] prints it
	Expire  time.Duration // as subscribed; Never: does not expire
	Expires time.Time     // when it ends by the wall clock; zero: never
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
// longer there. The Keeper still has them, and what waits for them.
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
	if left <= 0 {
		return false, i.keeper.CloseSub(info.Name, key, Expired)
	}
	i.subsMu.Lock()
	defer i.subsMu.Unlock()
	i.addLocked(subs, sub)
	return true, nil
}
