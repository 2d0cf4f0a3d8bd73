package evid

import (
	"container/heap"
	"time"
)

// noExpiry is the place of a subscriber that does not expire.
const noExpiry = -1

// expiries are the subscribers that expire, the next one first. One timer serves
// all of them: there can be very many.
type expiries struct {
	start  time.Time
	byTime expiryHeap
	timer  *time.Timer // of the first; nil: there was none yet
}

// now is the time since start: it takes a third of the room of a time.Time.
func (x *expiries) now() time.Duration { return time.Since(x.start) }

// setLocked has s expire after that time, or never if it is [Never].
func (x *expiries) setLocked(s *subscriber, after time.Duration, expire func()) {
	if s.place != noExpiry {
		heap.Remove(&x.byTime, s.place)
	}
	s.expires = Never
	if now := x.now(); after < Never-now {
		s.expires = now + after
		heap.Push(&x.byTime, s)
	}
	x.armLocked(expire)
}

// dueLocked returns a subscriber whose time is up; nil: there is none.
func (x *expiries) dueLocked() *subscriber {
	if len(x.byTime) == 0 || x.now() < x.byTime[0].expires {
		return nil
	}
	return x.byTime[0]
}

// armLocked has expire called when the first one's time is up.
func (x *expiries) armLocked(expire func()) {
	if len(x.byTime) == 0 {
		x.stopLocked()
		return
	}
	wait := x.byTime[0].expires - x.now()
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
func (h expiryHeap) Less(i, j int) bool { return h[i].expires < h[j].expires }

func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements [heap.Interface].
func (h *expiryHeap) Push(s any) {
	s.(*subscriber).place = len(*h)
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
