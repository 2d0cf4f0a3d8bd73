package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/delivery"
	"github.com/evid/evid/queue"
)

// Subscribers of one destination share one connection, in turn, each in order. A
// first turn has room for two events.
func TestOneConnection(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.subscribe("E_A", "h/slow")
		f.raise("E_A")
		synctest.Wait() // that one is under way
		f.subscribe("E_B", "h/b")
		f.subscribe("E_C", "h/c")
		for range 3 {
			f.raise("E_B")
		}
		f.raise("E_C")
		time.Sleep(100 * time.Millisecond)
		if n := f.network.opened(); n != 1 {
			t.Errorf("%d connections", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got, want := f.network.delivered(), "h/b=2 h/b=3 h/c=5 h/b=4 h/slow=1"; got != want {
			t.Errorf("delivered %s, want %s", got, want)
		}
	})
}

// A silent subscriber holds up others of its destination for a quarter of a
// second, and nobody else.
func TestSilentSubscriber(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.subscribe("E_A", "h/silent")
		f.raise("E_A")
		synctest.Wait()
		f.subscribe("E_B", "h/b", "other/b")
		f.raise("E_B")
		f.wantDelivered("other/b=2")
		time.Sleep(250 * time.Millisecond)
		f.wantDelivered("other/b=2", "h/b=2")
		f.raise("E_B") // the next does not wait at all
		f.wantDelivered("other/b=2", "h/b=2", "other/b=3", "h/b=3")
		time.Sleep(time.Second)
		f.raise("E_B") // and not after the others have come to rest
		f.wantDelivered("other/b=2", "h/b=2", "other/b=3", "h/b=3", "other/b=4", "h/b=4")
		time.Sleep(silence)
		f.wantCounts(evid.Counts{Accepted: 7, Delivered: 6, Waiting: 1, Retried: 1})
		if n := f.network.open(); n != 2 {
			t.Errorf("%d connections are kept, want one for each destination", n)
		}
	})
}

// As many as four can be silent at once; then the others wait for one of them.
func TestSilentSubscribers(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.subscribe("E_A", "h/silent-1", "h/silent-2", "h/silent-3", "h/silent-4", "h/silent-5")
		f.raise("E_A")
		time.Sleep(2 * time.Second)
		f.subscribe("E_B", "h/b", "other/b")
		f.raise("E_B")
		time.Sleep(silence - 2*time.Second - 1)
		synctest.Wait()
		if n := f.network.open(); n != 4+1 {
			t.Errorf("%d connections", n)
		}
		f.wantDelivered("other/b=2")
		time.Sleep(time.Hour)
		f.wantDelivered("other/b=2", "h/b=2")
		f.wantCounts(evid.Counts{Accepted: 7, Delivered: 2, Dead: 5, Retried: 5 * 7})
	})
}

// Who unsubscribes takes nobody's time any more: calls that are under way end.
func TestUnsubscribeSilent(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.subscribe("E_A", "h/silent-1", "h/silent-2", "h/silent-3", "h/silent-4")
		f.raise("E_A")
		time.Sleep(time.Second)
		f.subscribe("E_B", "h/b")
		f.raise("E_B")
		f.wantDelivered() // four are silent, it waits
		unsubscribe := func(socket string) {
			if err := f.Unsubscribe("E_A", "net:"+socket); err != nil {
				t.Fatal(err)
			}
		}
		unsubscribe("h/silent-2")
		f.wantDelivered("h/b=2")
		f.wantCounts(evid.Counts{Accepted: 5, Delivered: 1, Abandoned: 1, Waiting: 3})
		unsubscribe("h/silent-1")
		unsubscribe("h/silent-3")
		unsubscribe("h/silent-4")
		f.wantCounts(evid.Counts{Accepted: 5, Delivered: 1, Abandoned: 4})

		f.subscribe("E_A", "h/silent")
		f.raise("E_A")
		synctest.Wait()
		unsubscribe("h/silent") // its call has only begun: it has the time that others would wait
		f.wantCounts(evid.Counts{Accepted: 6, Delivered: 1, Abandoned: 4, Waiting: 1})
		time.Sleep(250 * time.Millisecond)
		f.wantCounts(evid.Counts{Accepted: 6, Delivered: 1, Abandoned: 5})
	})
}

// The connection of a lane that is idle goes. The lane does so as well, unless it has
// learned something special.
func TestIdle(t *testing.T) {
	for _, special := range []bool{false, true} {
		t.Run(fmt.Sprintf("special=%t", special), func(t *testing.T) { testIdle(t, special) })
	}
}

func testIdle(t *testing.T, special bool) {
	inBubble(t, func(f *fixture) {
		f.network.special = special
		f.subscribe("E_A", "h/a")
		f.raise("E_A")
		time.Sleep(499 * time.Millisecond)
		synctest.Wait()
		if n := f.network.lanes[0].idled; n != 0 {
			t.Errorf("idle after %d times, too early", n)
		}
		f.raise("E_A")
		time.Sleep(501 * time.Millisecond)
		synctest.Wait()
		if n := f.network.lanes[0].idled; n != 1 {
			t.Errorf("idle %d times, want once", n)
		}
		opened, open := 2, 0 // once there is something to deliver again
		if special {
			opened, open = 1, 1
		}
		if n := f.network.open(); n != open {
			t.Errorf("%d lanes are open when idle, want %d", n, open)
		}
		if n := f.engine.Lanes(); n != open {
			t.Errorf("the engine knows %d lanes when idle, want %d", n, open)
		}
		f.raise("E_A")
		f.wantDelivered("h/a=1", "h/a=2", "h/a=3")
		if n := f.network.opened(); n != opened {
			t.Errorf("opened %d times, want %d", n, opened)
		}
	})
}

// Who raises and who closes may be locked to a thread.
func TestLockedToThread(t *testing.T) {
	for _, host := range []string{"a", "b"} { // one of them suspends
		inBubble(t, func(f *fixture) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			f.subscribe("E_A", host+"/x")
			for range 3 {
				f.raise("E_A")
				synctest.Wait()
			}
			f.wantDelivered(host+"/x=1", host+"/x=2", host+"/x=3")
			f.Close()
			f.engine.Close()
		})
	}
}

// A lane that was quick is so again when it has been idle: its turn comes before those of
// lanes that may be slow.
func TestQuickAfterIdle(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.network.special = false
		f.engine.LimitCrew(1, 1, 40, 30)
		f.subscribe("E_A", "quick/a")
		f.raise("E_A")
		time.Sleep(time.Second)
		if n := f.engine.Lanes(); n != 0 {
			t.Fatalf("%d lanes when idle", n)
		}
		for i := range 8 {
			f.subscribe("E_B", fmt.Sprintf("h%d/slow", i))
		}
		f.raise("E_B")
		synctest.Wait()
		f.raise("E_A")
		time.Sleep(12 * time.Millisecond) // then there is a second worker
		f.wantDelivered("quick/a=1", "quick/a=3")
	})
}

// With its last subscriber a lane goes.
func TestLastSubscriberLeaves(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.subscribe("E_A", "h/a", "h/b")
		f.raise("E_A")
		time.Sleep(time.Second)
		for i, socket := range []string{"net:h/a", "net:h/b"} {
			if err := f.Unsubscribe("E_A", socket); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if open := f.network.open(); open != 1-i {
				t.Errorf("%d lanes open after %d have left", open, i+1)
			}
		}
	})
}

// Subscribing again with options that another connection is for moves a
// subscriber, with what waits.
func TestAnotherLane(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.subscribe("E_A", "h/slow")
		f.raise("E_A")
		f.raise("E_A")
		synctest.Wait()
		f.subscribe("E_A", "h/slow;own")
		time.Sleep(3 * time.Second)
		f.wantDelivered("h/slow=1", "h/slow=2")
		if opened, open := f.network.opened(), f.network.open(); opened != 2 || open != 1 {
			t.Errorf("%d lanes opened, %d open, want 2 and 1", opened, open)
		}
	})
}

func TestGone(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.subscribe("E_A", "h/gone", "h/stays")
		f.raise("E_A")
		synctest.Wait()
		f.raise("E_A")
		f.wantDelivered("h/stays=1", "h/stays=2")
		if subs := f.Subscribers("E_A"); len(subs) != 1 {
			t.Errorf("subscribers: %v", subs)
		}
		f.wantCounts(evid.Counts{Accepted: 3, Delivered: 2, Abandoned: 1})
	})
}

// A subscriber of the script stays: what it answers to with that it is gone becomes a dead
// letter, and a raise that waits for it hears of it.
func TestGoneFromScript(t *testing.T) {
	inBubble(t, func(f *fixture) {
		for _, socket := range []string{"net:h/gone", "net:h/stays"} {
			if err := f.SubscribeFromScript("E_A", socket, evid.Never); err != nil {
				t.Fatal(err)
			}
		}
		f.raise("E_A")
		synctest.Wait()
		f.raise("E_A")
		f.wantDelivered("h/stays=1", "h/stays=2")
		if subs := f.Subscribers("E_A"); len(subs) != 2 {
			t.Errorf("subscribers: %v", subs)
		}
		f.wantCounts(evid.Counts{Accepted: 4, Delivered: 2, Dead: 2})
		const reason = "it answered that it is gone (no such user), but the script has subscribed it"
		for letter, err := range f.queue.DeadLetters(evid.DeadLetterFilter{}) {
			if err != nil || letter.Reason != reason || letter.Attempts != 1 {
				t.Errorf("dead letter %+v, %v", letter, err)
			}
		}
		if n := strings.Count(f.log.String(), "event not delivered"); n != 1 {
			t.Errorf("logged %d times, want once, in\n%s", n, &f.log)
		}

		if err := f.SubscribeFromScript("E_B", "net:h/gone;sync", evid.Never); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Raise(context.Background(), "E_B", evid.Int("", 1)); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("raise: %v", err)
		}

		f.subscribe("E_A", "h/gone") // and now it is its own
		f.raise("E_A")
		synctest.Wait()
		if subs := f.Subscribers("E_A"); len(subs) != 1 {
			t.Errorf("subscribers: %v", subs)
		}
	})
}

// The log tells of a failure when it begins, when it changes, and when it ends.
func TestLog(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.subscribe("E_A", "h/refuses")
		f.subscribe("E_B", "h/moody")
		f.subscribe("E_C", "h/wordy")
		for range 4 {
			f.raise("E_A")
		}
		for range 4 {
			f.raise("E_B") // 5 to 8
			time.Sleep(600 * time.Millisecond)
		}
		for range 4 {
			f.raise("E_C")
		}
		synctest.Wait()
		log := f.log.String()
		for text, want := range map[string]int{
			"event=E_A socket=net:h/refuses": 1,
			`reason="odd 5"`:                 1,
			`reason="odd 7"`:                 1, // 1.2 s after the other
			"event=E_C socket=net:h/wordy":   1,
			`msg="delivered again"`:          2,
		} {
			if n := strings.Count(log, text); n != want {
				t.Errorf("%s: %d times, want %d, in\n%s", text, n, want, log)
			}
		}
	})
}

// A receiver that may never answer is named, whatever its neighbours do.
func TestSilenceIsNamed(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.subscribe("E_A", "h/silent")
		f.subscribe("E_B", "h/b")
		for range 4 {
			f.raise("E_A")
		}
		for range 50 {
			f.raise("E_B")
			time.Sleep(silence / 10)
		}
		synctest.Wait()
		if n := strings.Count(f.log.String(), "confirm=0"); n != 1 {
			t.Errorf("confirm=0 is named %d times, want once, in\n%s", n, &f.log)
		}
		f.wantCounts(evid.Counts{Accepted: 54, Delivered: 50, Waiting: 4, Retried: f.queue.Totals().Retried})
	})
}

// The log says when a subscriber begins to lose events, and how many they were.
func TestDroppedIsLogged(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.subscribe("E_A", "h/slow")
		f.raise("E_A")
		synctest.Wait()
		for range 1999 {
			f.raise("E_A")
		}
		time.Sleep(time.Hour)
		f.wantCounts(evid.Counts{Accepted: 2000, Delivered: 1025, Dropped: 975}) // 1024 and the one under way
		log := f.log.String()
		if strings.Count(log, "events dropped") != 1 || strings.Count(log, "dropped=975") != 1 {
			t.Errorf("log:\n%s", log)
		}
	})
}

// A subscriber that answers that it is gone is unsubscribed, and the log says so if
// that cannot be saved.
func TestGoneUnsaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(network)
		var log strings.Builder
		engine := delivery.New(delivery.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		q := queue.New(queue.DefaultParams(), engine)
		i := evid.New(evid.Options{Keeper: forgetful{q}, Transports: []evid.Transport{n}, AutoRegister: true})
		if err := i.Subscribe("E_A", "net:h/gone", evid.Never); err != nil {
			t.Fatal(err)
		}
		if _, err := i.Raise(t.Context(), "E_A", evid.Int("", 1)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got, want := q.Totals(), (evid.Counts{Accepted: 1, Abandoned: 1}); got != want {
			t.Errorf("counts %+v, want %+v", got, want)
		}
		engine.Close()
		if !strings.Contains(log.String(), `before that is saved" event=E_A socket=net:h/gone err="disk full"`) {
			t.Errorf("log:\n%s", &log)
		}
	})
}

func TestDrain(t *testing.T) {
	inBubble(t, func(f *fixture) {
		if err := f.engine.Drain(context.Background()); err != nil {
			t.Errorf("Drain without events: %v", err)
		}
		f.subscribe("E_A", "h/slow", "g/slow")
		f.raise("E_A")
		f.raise("E_A")
		begun := time.Now()
		if err := f.engine.Drain(context.Background()); err != nil {
			t.Errorf("Drain: %v", err)
		}
		if took := time.Since(begun); took != 2*time.Second {
			t.Errorf("drained after %v", took)
		}
		f.wantCounts(evid.Counts{Accepted: 4, Delivered: 4})
	})
}

// What cannot be drained in time stays in the queue, and Close waits for nobody.
func TestClose(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.subscribe("E_A", "h/silent", "h/silent-2", "g/slow")
		f.raise("E_A")
		f.raise("E_A")
		ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
		defer cancel()
		if err := f.engine.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain: %v", err)
		}
		begun := time.Now()
		f.engine.Close()
		if took := time.Since(begun); took != 0 {
			t.Errorf("Close took %v", took)
		}
		f.wantCounts(evid.Counts{Accepted: 6, Delivered: 1, Waiting: 5})
	})
}

// Very many subscribers are not woken by the raiser: they have their events all the
// same, but for those who unsubscribe meanwhile, and draining waits for them.
func TestVeryManySubscribers(t *testing.T) {
	const n = 1000
	inBubble(t, func(f *fixture) {
		sockets := make([]string, n)
		for i := range sockets {
			sockets[i] = fmt.Sprintf("h%d/a", i)
		}
		f.subscribe("E_A", sockets...)
		f.raise("E_A")
		f.raise("E_A")
		for _, socket := range sockets[:n/2] {
			f.unsubscribe("E_A", socket)
		}
		if err := f.engine.Drain(context.Background()); err != nil {
			t.Errorf("Drain: %v", err)
		}
		got := f.queue.Totals()
		if got.Accepted != 2*n || got.Delivered+got.Abandoned != 2*n || got.Delivered < n {
			t.Errorf("counts %+v", got)
		}
		f.raise("E_A") // and close at once
	})
}

// Draining an engine that is closed ends, also while a subscriber pauses.
func TestDrainAfterClose(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.network.answer("h/a", failure(evid.TheSubscriber, "HTTP status 503"))
		f.subscribe("E_A", "h/a")
		f.raise("E_A")
		f.engine.Close()
		if err := f.engine.Drain(context.Background()); err != nil {
			t.Errorf("Drain: %v", err)
		}
		f.wantCounts(evid.Counts{Accepted: 1, Waiting: 1, Retried: f.queue.Totals().Retried})
	})
}

// forgetful is a keeper that cannot save that subscriptions end.
type forgetful struct{ *queue.Queue }

func (f forgetful) CloseSub(event, key string, why evid.Close) error {
	return errors.Join(f.Queue.CloseSub(event, key, why), errors.New("disk full"))
}
