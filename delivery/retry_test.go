package delivery_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/delivery"
	"github.com/evid/evid/queue"
)

func failure(blame evid.Blame, detail string) func(*evid.Item) evid.Result {
	return func(*evid.Item) evid.Result {
		return evid.Result{Verdict: evid.Retry, Blame: blame, Sent: blame != evid.TheDestination, Answered: true, Detail: detail}
	}
}

// letters lists the dead letters: event, value, reason, attempts and count.
func (f *fixture) letters() []string {
	var list []string
	for d := range f.queue.DeadLetters(evid.DeadLetterFilter{}) {
		value := "-"
		if d.Raised != nil {
			value = d.Raised.Params[0].Text()
		}
		list = append(list, fmt.Sprintf("%s %s: %s, %d attempts, %d", d.Event, value, d.Reason, d.Attempts, d.Count))
	}
	return list
}

func (f *fixture) wantLetters(want ...string) {
	f.Helper()
	synctest.Wait()
	if got := f.letters(); !slices.Equal(got, want) {
		f.Errorf("dead letters %q, want %q", got, want)
	}
}

func (f *fixture) unsubscribe(event, socket string) {
	f.Helper()
	if err := f.Unsubscribe(event, "net:"+socket); err != nil {
		f.Fatal(err)
	}
}

// A destination that cannot be reached pauses with all its subscribers: one event
// at a time is tried, ever more rarely; then all goes on at full speed, in order.
func TestDestinationPauses(t *testing.T) {
	inBubble(t, func(f *fixture) {
		var attempts []time.Time
		f.network.answer("h", func(*evid.Item) evid.Result {
			attempts = append(attempts, time.Now())
			return evid.Result{Verdict: evid.Retry, Blame: evid.TheDestination, Detail: "refused"}
		})
		f.subscribe("E_A", "h/a", "h/b", "other/a")
		for range 3 {
			f.raise("E_A")
		}
		f.wantDelivered("other/a=1", "other/a=2", "other/a=3")
		f.wantNotices("SUBSCRIBER_DOWN E_A net:h/b refused 1 1", "SUBSCRIBER_DOWN E_A net:h/a refused 0 0")
		time.Sleep(6 * time.Hour)
		synctest.Wait()
		longest := time.Second
		for i := 1; i < len(attempts); i++ {
			if pause := attempts[i].Sub(attempts[i-1]); pause > longest {
				t.Errorf("pause %d: %v, want at most %v", i, pause, longest)
			}
			longest = min(2*longest, time.Minute)
		}
		if average := 6 * time.Hour / time.Duration(len(attempts)); average < 20*time.Second || average > 40*time.Second {
			t.Errorf("%d attempts in 6 hours, one in %v", len(attempts), average)
		}
		f.wantCounts(evid.Counts{Accepted: 9, Delivered: 3, Waiting: 6, Retried: uint64(len(attempts))})
		f.network.answer("h", nil)
		time.Sleep(time.Minute)
		f.wantDelivered("other/a=1", "other/a=2", "other/a=3", "h/a=1", "h/a=2", "h/a=3", "h/b=1", "h/b=2", "h/b=3")
		if len(f.notices) != 2 || !strings.HasPrefix(f.notices[0], "SUBSCRIBER_UP E_A net:h/") || !strings.HasPrefix(f.notices[1], "SUBSCRIBER_UP E_A net:h/") {
			t.Errorf("raised %q", f.notices)
		}
		f.wantLetters()
	})
}

// A subscriber that cannot take anything for now pauses alone.
func TestSubscriberPauses(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.network.answer("h/a", failure(evid.TheSubscriber, "HTTP status 503"))
		f.subscribe("E_A", "h/a", "h/b")
		f.raise("E_A")
		f.raise("E_A")
		f.wantDelivered("h/b=1", "h/b=2")
		status, _ := f.queue.Status("E_A", "net:h/a")
		if status.State != evid.Down || status.LastError != "HTTP status 503" || !status.NextAttempt.After(time.Now().Add(-1)) {
			t.Errorf("status: %+v", status)
		}
		time.Sleep(23 * time.Hour)
		f.wantCounts(evid.Counts{Accepted: 4, Delivered: 2, Waiting: 2, Retried: f.queue.Totals().Retried})
		f.network.answer("h/a", nil)
		time.Sleep(time.Minute)
		f.wantDelivered("h/b=1", "h/b=2", "h/a=1", "h/a=2")
		status, _ = f.queue.Status("E_A", "net:h/a")
		if status.State != evid.Up || time.Since(status.LastSuccess) > time.Minute {
			t.Errorf("status: %+v", status)
		}
		f.wantNotices("SUBSCRIBER_DOWN E_A net:h/a HTTP status 503 1 1", f.notices[1])
	})
}

// The subscriber's own wish is honoured.
func TestRetryAfter(t *testing.T) {
	for _, blame := range []evid.Blame{evid.TheEvent, evid.TheSubscriber, evid.TheDestination} {
		inBubble(t, func(f *fixture) {
			var attempts atomic.Int32
			f.network.answer("h/a", func(*evid.Item) evid.Result {
				attempts.Add(1)
				return evid.Result{Verdict: evid.Retry, Blame: blame, Answered: true, After: 10 * time.Minute}
			})
			f.subscribe("E_A", "h/a")
			f.raise("E_A")
			for want := range 5 {
				synctest.Wait()
				if got := attempts.Load(); got != int32(want+1) {
					t.Errorf("%v: %d attempts after %d times Retry-After", blame, got, want)
				}
				time.Sleep(10 * time.Minute)
			}
		})
	}
}

// An event that is refused for now is tried so many times, and others wait behind
// it: order holds.
func TestMaxAttempts(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.network.answer("h/a", func(item *evid.Item) evid.Result {
			if item.Event.Params[0].Int == 2 {
				return failure(evid.TheEvent, fmt.Sprintf("fault on attempt %d", item.Attempt))(item)
			}
			return evid.Result{Verdict: evid.Delivered, Answered: true}
		})
		f.subscribe("E_A", "h/a")
		for range 4 {
			f.raise("E_A")
		}
		f.wantDelivered("h/a=1")
		if status, _ := f.queue.Status("E_A", "net:h/a"); status.State != evid.Retrying {
			t.Errorf("status: %+v", status)
		}
		time.Sleep(10 * time.Minute)
		f.wantDelivered("h/a=1", "h/a=3", "h/a=4")
		f.wantLetters("E_A 2: fault on attempt 8, 8 attempts, 1")
		f.wantCounts(evid.Counts{Accepted: 4, Delivered: 3, Dead: 1, Retried: 7})
		f.wantNotices("DEAD_LETTER E_A net:h/a fault on attempt 8 8 1")
	})
}

// What is older than max_age is given up, also what was never tried.
func TestMaxAge(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.network.policy = func(p *evid.Policy) { p.MaxAge = time.Hour }
		f.network.answer("h/a", failure(evid.TheSubscriber, "busy"))
		f.subscribe("E_A", "h/a")
		f.raise("E_A")
		f.raise("E_A")
		time.Sleep(59 * time.Minute)
		f.raise("E_A")
		time.Sleep(3 * time.Minute)
		f.network.answer("h/a", nil)
		time.Sleep(time.Minute)
		f.wantDelivered("h/a=3")
		letters := f.letters()
		if len(letters) != 2 || !strings.Contains(letters[0], "busy, ") || letters[1] != "E_A 2: not delivered within 1h0m0s: busy, 0 attempts, 1" {
			t.Errorf("dead letters: %q", letters)
		}
	})
}

// Several events in one call have each a result of their own. Those that are to be
// tried again come again alone, one after the other, and all keep their attempts.
func TestResultsOfABatch(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.network.whole = true
		var attempts []string
		f.network.answer("h/a", func(item *evid.Item) evid.Result {
			n := item.Event.Params[0].Int
			attempts = append(attempts, fmt.Sprintf("%d#%d", n, item.Attempt))
			switch {
			case n == 1:
				time.Sleep(40 * time.Millisecond) // until all wait, and not until the end of the turn
			case (n == 10 || n == 12) && item.Attempt < 3:
				return failure(evid.TheEvent, "fault")(item)
			case n == 20:
				return evid.Result{Verdict: evid.Rejected, Answered: true, Detail: "no"}
			}
			return evid.Result{Verdict: evid.Delivered, Answered: true}
		})
		f.subscribe("E_A", "h/a")
		f.raise("E_A")
		synctest.Wait()
		for range 71 {
			f.raise("E_A")
		}
		time.Sleep(40 * time.Millisecond)
		f.wantCounts(evid.Counts{Accepted: 72, Delivered: 64, Dead: 1, Waiting: 7, Retried: 2}) // 2 and 3, then 64 in one call
		time.Sleep(time.Minute)
		synctest.Wait()
		delivered := f.network.delivered()
		if want := "h/a=9 h/a=11 h/a=13"; !strings.Contains(delivered, want) {
			t.Errorf("delivered %s, want %s in it", delivered, want)
		}
		if want := "h/a=67 h/a=10 h/a=12 h/a=68 h/a=69 h/a=70 h/a=71 h/a=72"; !strings.HasSuffix(delivered, want) {
			t.Errorf("delivered %s, want %s at the end", delivered, want)
		}
		if got, want := strings.Join(attempts[67:], " "), "10#2 10#3 12#2 12#3 68#1 69#1 70#1 71#1 72#1"; got != want {
			t.Errorf("attempts after the call of 64: %s, want %s", got, want)
		}
		f.wantCounts(evid.Counts{Accepted: 72, Delivered: 71, Dead: 1, Retried: 4})
		f.wantLetters("E_A 20: no, 1 attempts, 1")
	})
}

// Two subscribers of a destination that get no answer, one after the other: then
// it is the destination.
func TestUnansweredTwice(t *testing.T) {
	inBubble(t, func(f *fixture) {
		calls := 0
		f.network.answer("h", func(*evid.Item) evid.Result {
			calls++
			return evid.Result{Verdict: evid.Retry, Blame: evid.TheSubscriber, Sent: true, Detail: "no reply"}
		})
		f.subscribe("E_A", "h/a", "h/b", "h/c", "h/d")
		f.raise("E_A")
		synctest.Wait()
		if calls != 2 {
			t.Errorf("%d calls, want 2: the others need not try", calls)
		}
	})
}

// Who subscribes again is alive: its pause and that of its destination end.
func TestRenewEndsPauses(t *testing.T) {
	for _, blame := range []evid.Blame{evid.TheEvent, evid.TheSubscriber, evid.TheDestination} {
		inBubble(t, func(f *fixture) {
			f.network.policy = func(p *evid.Policy) { p.RetryMin, p.RetryMax = time.Hour, time.Hour }
			f.network.answer("h/a", failure(blame, "busy"))
			f.subscribe("E_A", "h/a")
			f.raise("E_A")
			f.wantDelivered()
			f.network.answer("h/a", nil)
			f.subscribe("E_A", "h/a;own")
			f.wantDelivered("h/a=1")
		})
	}
}

// Who unsubscribes during a pause is gone at once, and so is the lane.
func TestUnsubscribePaused(t *testing.T) {
	for _, blame := range []evid.Blame{evid.TheEvent, evid.TheSubscriber, evid.TheDestination} {
		inBubble(t, func(f *fixture) {
			f.network.answer("h/a", failure(blame, "busy"))
			f.subscribe("E_A", "h/a")
			f.raise("E_A")
			synctest.Wait()
			f.unsubscribe("E_A", "h/a")
			f.wantCounts(evid.Counts{Accepted: 1, Abandoned: 1, Retried: 1})
			if open := f.network.open(); open != 0 {
				t.Errorf("%v: %d lanes open", blame, open)
			}
			f.subscribe("E_A", "h/a") // and starts anew
			f.network.answer("h/a", nil)
			f.raise("E_A")
			f.wantDelivered("h/a=2")
		})
	}
}

// A dead letter can be delivered after all, before what waits: it stays one until
// then. A replay is one attempt; if it is not because of the event that it fails,
// the other letters of that subscriber are left as they are.
func TestReplay(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.network.answer("h/a", func(*evid.Item) evid.Result {
			return evid.Result{Verdict: evid.Rejected, Answered: true, Detail: "no"}
		})
		f.subscribe("E_A", "h/a")
		f.raise("E_A")
		f.raise("E_A")
		synctest.Wait()
		replay := func() { f.queue.Replay(evid.DeadLetterFilter{}) }
		replay()
		f.wantLetters("E_A 1: no, 2 attempts, 1", "E_A 2: no, 2 attempts, 1")
		f.network.answer("h/a", failure(evid.TheEvent, "fault"))
		replay()
		f.wantLetters("E_A 1: fault, 3 attempts, 1", "E_A 2: fault, 3 attempts, 1")

		f.network.answer("h/a", failure(evid.TheSubscriber, "busy"))
		replay()
		f.wantLetters("E_A 1: busy, 4 attempts, 1", "E_A 2: fault, 3 attempts, 1")
		time.Sleep(time.Hour)
		f.wantLetters("E_A 1: busy, 4 attempts, 1", "E_A 2: fault, 3 attempts, 1")
		f.network.answer("h/a", failure(evid.TheDestination, "refused"))
		replay()
		f.raise("E_A")
		f.wantLetters("E_A 1: refused, 5 attempts, 1", "E_A 2: fault, 3 attempts, 1")

		replay() // while the destination pauses
		f.network.answer("h/a", nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := f.network.delivered(); got != "h/a=1 h/a=2 h/a=3" {
			t.Errorf("delivered %s", got)
		}
		f.wantLetters()
		f.wantCounts(evid.Counts{Accepted: 3, Delivered: 1, Dead: 2, Retried: f.queue.Totals().Retried})
		if c := f.queue.DeadLetterCounts(); c != (queue.LetterCounts{Replayed: 2}) {
			t.Errorf("dead letters: %+v", c)
		}
	})
}

// Subscribers of a destination can have more connections, or each its own.
func TestConnections(t *testing.T) {
	for _, test := range []struct {
		name   string
		policy func(*evid.Policy)
		want   string
	}{
		{"one", nil, ""},
		{"two", func(p *evid.Policy) { p.Connections = 2 }, "h/c=1"},
		{"own", func(p *evid.Policy) { p.OwnLane = true }, "h/c=1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(f *fixture) {
				f.network.policy = test.policy
				f.subscribe("E_A", "h/c", "h/slow") // the newest comes first
				f.raise("E_A")
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
				if got := f.network.delivered(); got != test.want {
					t.Errorf("delivered %q, want %q", got, test.want)
				}
				time.Sleep(time.Second)
			})
		})
	}
}

// Without file descriptors nobody is blamed: idle connections close, and it goes
// on.
func TestNoFileDescriptors(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.subscribe("E_A", "idle/a")
		f.raise("E_A")
		f.subscribe("E_B", "h/b")
		f.wantDelivered("idle/a=1")
		f.network.answer("h/b", func(item *evid.Item) evid.Result {
			if f.network.lanes[0].idled == 0 {
				return failure(evid.TheProcess, "no file descriptor")(item)
			}
			return evid.Result{Verdict: evid.Delivered}
		})
		f.raise("E_B")
		time.Sleep(110 * time.Millisecond)
		f.wantDelivered("idle/a=1", "h/b=2")
		f.wantNotices()
	})
}

// At most one event of a kind about a subscriber in a second, and none about the
// subscribers of these events.
func TestNotices(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.network.answer("h", func(*evid.Item) evid.Result {
			return evid.Result{Verdict: evid.Rejected, Answered: true, Detail: "no"}
		})
		f.subscribe("E_A", "h/a")
		f.subscribe(delivery.EventDeadLetter, "h/a")
		for range 10 {
			f.raise("E_A")
			f.raise(delivery.EventDeadLetter)
			synctest.Wait()
		}
		f.wantNotices("DEAD_LETTER E_A net:h/a no 1 1")
		time.Sleep(999 * time.Millisecond)
		f.wantNotices()
		time.Sleep(time.Millisecond)
		f.wantNotices("DEAD_LETTER E_A net:h/a no 1 9")
		time.Sleep(time.Minute)
		f.wantNotices()
		flap := failure(evid.TheSubscriber, "busy")
		f.subscribe("E_B", "g/b")
		for range 5 { // down and up, ten times a second
			f.network.answer("g/b", flap)
			f.raise("E_B")
			synctest.Wait()
			f.network.answer("g/b", nil)
			f.subscribe("E_B", "g/b")
			time.Sleep(100 * time.Millisecond)
		}
		f.wantNotices("SUBSCRIBER_DOWN E_B net:g/b busy 1 1")
		time.Sleep(time.Second)
		f.wantNotices("SUBSCRIBER_UP E_B net:g/b busy 2 1")
	})
}
