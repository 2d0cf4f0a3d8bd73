package evid

import (
	"container/heap"
	"sync"
	"time"
)

// maxEnders is how many goroutines end the subscriptions whose time is up, at most.
// Each ends those of one event: they wait for the keeper, and very many can be due at
// the same time.
const maxEnders = 64

// noExpiry is the place of a subscriber that does not expire.
const noExpiry = -1

// expiries are the subscribers that expire, the next one first. One timer serves
// all of them: there can be very many.
type expiries struct {
	byTime expiryHeap
	timer  *time.Timer // of the first; nil: there was none yet

	due     []*subscribers // events with some that are due, which nobody ends yet
	enders  sync.WaitGroup
	working int // how many enders there are
}

// addLocked has s expire at its time, if it does. The timer is left to the caller.
func (x *expiries) addLocked(s *subscriber) {
	if !s.Expires.IsZero() {
		heap.Push(&x.byTime, s)
	}
}

// removeLocked forgets s. The timer may now come too early, which does no harm.
func (x *expiries) removeLocked(s *subscriber) {
	if s.place != noExpiry {
		heap.Remove(&x.byTime, int(s.place))
	}
}

// isDue reports whether the time of s is up.
func (s *subscriber) isDue() bool { return !s.Expires.IsZero() && time.Until(s.Expires) <= 0 }

// expire has those ended whose time is up. The timer calls it.
func (i *Interface) expire() {
	i.subsMu.Lock()
	defer i.subsMu.Unlock()
	if i.closed.Load() {
		return
	}
	x := &i.expiries
	for len(x.byTime) > 0 && x.byTime[0].isDue() {
		s := heap.Pop(&x.byTime).(*subscriber)
		subs := i.subs[s.Event]
		subs.due = append(subs.due, s)
		if !subs.ending {
			subs.ending = true
			x.due = append(x.due, subs)
		}
	}
	for n := len(x.due); n > 0 && x.working < maxEnders; n-- {
		x.working++
		x.enders.Go(i.endDue)
	}
	x.armLocked(i.expire)
}

// endDue ends what is due of one event after the other.
func (i *Interface) endDue() {
	for subs := i.nextEvent(); subs != nil; subs = i.nextEvent() {
		for more := true; more; {
			more = i.endNext(subs)
		}
	}
}

// nextEvent returns an event whose subscribers are due; nil: there is none.
func (i *Interface) nextEvent() *subscribers {
	i.subsMu.Lock()
	defer i.subsMu.Unlock()
	x := &i.expiries
	if len(x.due) == 0 || i.closed.Load() {
		x.due = nil
		x.working--
		return nil
	}
	subs := x.due[0]
	x.due = x.due[1:]
	return subs
}

// endNext ends one subscriber that is due. It reports false if there is none.
func (i *Interface) endNext(subs *subscribers) bool {
	subs.changing.Lock() // for one at a time: others may want to change something, too
	defer subs.changing.Unlock()
	s := i.nextDue(subs)
	if s == nil {
		return false
	}
	// Nobody to tell of an error: if the end cannot be saved s ends again after the
	// next start.
	_ = i.closeLocked(subs, s, Expired)
	return true
}

// nextDue returns a subscriber that is due and was not renewed or ended since; nil:
// there is none.
func (i *Interface) nextDue(subs *subscribers) *subscriber {
	i.subsMu.Lock()
	defer i.subsMu.Unlock()
	for len(subs.due) > 0 && !i.closed.Load() {
		s := subs.due[0]
		subs.due = subs.due[1:]
		if subs.byKey[s.Socket.Key()] == s && s.isDue() {
			return s
		}
	}
	subs.due, subs.ending = nil, false
	return nil
}

// armLocked has expire called when the first one's time is up.
func (x *expiries) armLocked(expire func()) {
	if len(x.byTime) == 0 {
		x.stopLocked()
		return
	}
	wait := time.Until(x.byTime[0].Expires)
	if x.timer == nil {
		x.timer = time.AfterFunc(wait, expire)
		return
	}
	x.timer.Reset(wait)
}

func (x *expiries) stopLocked() {
	if x.timer != nil {
		x.timer.Stop()
	}
}

// An expiryHeap is a [heap.Interface]: each subscriber knows its place.
type expiryHeap []*subscriber

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].Expires.Before(h[j].Expires) }

func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = int32(i), int32(j)
}

// Push implements [heap.Interface].
func (h *expiryHeap) Push(s any) {
	s.(*subscriber).place = int32(len(*h))
	*h = append(*h, s.(*subscriber))
}

// Pop implements [heap.Interface].
func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	s.place = noExpiry
	return s
}
