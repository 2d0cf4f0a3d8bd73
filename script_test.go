package evid_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
)

// wantSub compares the last subscriber of E_X with what is wanted.
func wantSub(t *testing.T, i *evid.Interface, expire time.Duration, script bool) {
	t.Helper()
	subs := i.Subscribers("E_X")
	if len(subs) == 0 || subs[0].Expire != expire || subs[0].Script != script {
		t.Errorf("got %+v, want expire %v, script %t", subs, expire, script)
	}
}

// Who subscribes last decides how long, and whose it is.
func TestSubscribeFromScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.must(f.SubscribeFromScript("E_X", "test:a", evid.Never))
		wantSub(t, f.Interface, evid.Never, true)
		f.must(f.Subscribe("E_X", "test:a", time.Hour))
		wantSub(t, f.Interface, time.Hour, false)
		f.must(f.SubscribeFromScript("E_X", "test:a", time.Minute))
		wantSub(t, f.Interface, time.Minute, true)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := f.SubscriberCount(); n != 0 {
			t.Errorf("%d are subscribed after the time is up", n)
		}
		err := f.SubscribeFromScript("E_Y", "test:a", evid.Never)
		const want = `subscribe to "E_Y" from the script: the event is not registered`
		if !errors.Is(err, evid.ErrNotRegistered) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
}

// What the script has subscribed is not for the subscriber to end.
func TestScriptIsNotDismissed(t *testing.T) {
	i, k := newSlow(t)
	check(t, i.SubscribeFromScript("E_X", "test:a", evid.Never))
	script := k.sub("E_X test:a")
	check(t, script.Dismiss())
	if got := list(i, "E_X"); got != "a" {
		t.Errorf("%q are subscribed after the script's was dismissed", got)
	}
	check(t, i.Subscribe("E_X", "test:a", evid.Never))
	check(t, script.Dismiss())
	if got := list(i, "E_X"); got != "a" {
		t.Errorf("%q are subscribed after the one before was dismissed", got)
	}
	own := k.sub("E_X test:a")
	check(t, i.SubscribeFromScript("E_X", "test:b", evid.Never), own.Dismiss())
	if got := list(i, "E_X"); got != "b" {
		t.Errorf("%q are subscribed, want b", got)
	}
}

// The script's own are there again after a restart until the script has run. Those that
// it has not subscribed again end then.
func TestEndOldScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := func(socket string) evid.Restored {
			return evid.Restored{Event: "E_X", Socket: socket, Expire: evid.Never, Script: true}
		}
		expires := old("test:expires")
		expires.Expire, expires.Expires = time.Hour, time.Now().Add(time.Minute)
		ended := old("test:ended")
		ended.Ended = true
		mine := old("test:mine")
		mine.Script = false
		i, k := newKept(t, old("test:old"), old("test:again"), old("test:taken"), expires, mine, ended, old("nope:old"),
			evid.Restored{Event: "E_X", Socket: "nope:mine", Expire: evid.Never})
		if restored, failed := i.Restore(); restored != 5 || len(failed) != 2 {
			t.Fatalf("Restore = %d, %v", restored, failed)
		}
		check(t, i.SubscribeFromScript("E_X", "test:again", evid.Never), i.Subscribe("E_X", "test:taken", time.Hour),
			i.SubscribeFromScript("E_X", "test:new", evid.Never))
		full := errors.New("disk full")
		k.fail(full)
		if err := i.SubscribeFromScript("E_X", "test:old", evid.Never); !errors.Is(err, full) {
			t.Errorf("subscribe: %v", err)
		}
		k.fail(nil)
		k.took()
		gone, err := i.EndOldScript()
		check(t, err)
		if want := []evid.Restored{old("nope:old")}; !slices.Equal(gone, want) {
			t.Errorf("ended %v, want %v: the script wanted to keep the other", gone, want)
		}
		wantCalls(t, k, "discard E_X nope:old")
		if got := list(i, "E_X"); got != "new mine expires taken again old" {
			t.Errorf("%q are subscribed", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := list(i, "E_X"); got != "new mine taken again old" {
			t.Errorf("%q are subscribed a minute later", got)
		}
	})
}

func TestEndOldScriptErrors(t *testing.T) {
	full := errors.New("disk full")
	old := []evid.Restored{
		{Event: "E_X", Socket: "test:a", Expire: evid.Never, Script: true},
		{Event: "E_X", Socket: "nope:b", Expire: evid.Never, Script: true},
	}
	i, k := newKept(t, old...)
	i.Restore()
	k.fail(full)
	ended, err := i.EndOldScript()
	const want = `end subscription of "test:a" to "E_X": disk full` + "\n" + `end subscription of "nope:b" to "E_X": disk full`
	if !slices.Equal(ended, old) || err == nil || err.Error() != want {
		t.Errorf("EndOldScript = %v, %v, want all of them and %s", ended, err, want)
	}
	if n := i.SubscriberCount(); n != 0 {
		t.Errorf("%d are subscribed", n)
	}

	// Closed before the script could subscribe.
	i, k = newKept(t, old...)
	i.Restore()
	k.took()
	i.Close()
	if ended, err := i.EndOldScript(); ended != nil || !errors.Is(err, evid.ErrClosed) {
		t.Errorf("closed: EndOldScript = %v, %v", ended, err)
	}
	wantCalls(t, k)

	// The keeper could not open them.
	i, k = newKept(t, old...)
	k.fail(full)
	i.Restore()
	k.fail(nil)
	k.took()
	ended, err = i.EndOldScript()
	check(t, err)
	if !slices.Equal(ended, old) {
		t.Errorf("EndOldScript = %v", ended)
	}
	wantCalls(t, k, "expired E_X test:a", "discard E_X nope:b")

	slow, _ := newSlow(t)
	if ended, err := slow.EndOldScript(); ended != nil || err != nil {
		t.Errorf("a keeper that keeps none: %v, %v", ended, err)
	}
}

// Who was not restored can be unsubscribed by the text of its socket.
func TestUnsubscribeDormant(t *testing.T) {
	i, k := newKept(t, evid.Restored{Event: "E_X", Socket: "nope:a", Expire: evid.Never})
	i.Restore()
	if err := i.Unsubscribe("E_X", "nope:b"); err == nil {
		t.Error("an unknown one: no error")
	}
	check(t, i.Unsubscribe("E_X", "nope:a"))
	wantCalls(t, k, "discard E_X nope:a")
	if err := i.Unsubscribe("E_X", "nope:a"); err == nil {
		t.Error("again: no error")
	}
	k.kept = []evid.Restored{{Event: "E_X", Socket: "nope:a", Expire: evid.Never}}
	full := errors.New("disk full")
	k.fail(full)
	if err := i.Unsubscribe("E_X", "nope:a"); !errors.Is(err, full) || err.Error() != `unsubscribe from "E_X": disk full` {
		t.Errorf("it cannot be saved: %v", err)
	}
}

// With a queue in memory nothing is restored, and nothing is old.
func TestNothingOldInMemory(t *testing.T) {
	q := queue.New(queue.DefaultParams(), &collector{got: make(map[string][]string)})
	i := evid.New(evid.Options{Keeper: q, Transports: []evid.Transport{testTransport{}}, AutoRegister: true})
	defer i.Close()
	check(t, i.SubscribeFromScript("E_X", "test:a", evid.Never))
	if ended, err := i.EndOldScript(); ended != nil || err != nil {
		t.Errorf("EndOldScript = %v, %v", ended, err)
	}
	if _, err := i.Raise(context.Background(), "E_X"); err != nil {
		t.Error(err)
	}
	if err := i.Unsubscribe("E_X", "nope:a"); err == nil {
		t.Error("unsubscribe what no transport reads: no error")
	}
}
