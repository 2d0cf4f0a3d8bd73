package pike

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid"
)

// A recorder has what was raised, with the time since it was made.
type recorder struct {
	start time.Time
	err   error

	mu     sync.Mutex
	events []string
}

func (r *recorder) raise(_ context.Context, event string, params ...evid.Param) (evid.ID, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := fmt.Sprintf("%v %s", time.Since(r.start), event)
	for _, p := range params {
		line += " " + p.Name + "=" + p.Text()
	}
	r.events = append(r.events, line)
	return evid.ID{}, r.err
}

func (r *recorder) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if diff := cmp.Diff(want, r.events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// The numbers of golden/pike: 120 requests in 0.24 s are one event before they are over, and
// 38 pass. The same again after the address was unblocked is one event more. 10,000 others,
// each with a request a second, are none, and all of theirs pass.
func TestCapturedFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := &recorder{start: time.Now()}
		var log bytes.Buffer
		p := New(DefaultParams(), Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Raise: events.raise})
		p.Start()
		defer p.Close()
		others := addresses(10_000, within("10.0.0.0/8", random4))
		flooder := addr(t, "127.0.0.1")
		second := func(flood bool) (passed int) {
			for i := range 500 { // each 2 ms
				for _, a := range others[20*i : 20*i+20] {
					if result := p.Check(a); result != Pass {
						t.Fatalf("%v is %d", a, result)
					}
				}
				if flood && i >= 100 && i < 220 && p.Check(flooder) == Pass {
					passed++
				}
				time.Sleep(2 * time.Millisecond)
			}
			return passed
		}
		second(false)
		if passed := second(true); passed != 38 {
			t.Errorf("%d of 120 pass, want 38", passed)
		}
		events.want(t, "1.276s E_PIKE_BLOCKED ip=127.0.0.1")
		for range 4 {
			second(false)
		}
		if blocked := p.Blocked(); len(blocked) > 0 {
			t.Errorf("%v is still blocked after 4 seconds", blocked)
		}
		if passed := second(true); passed < 29 || passed > 38 { // its prefixes are still there
			t.Errorf("%d of 120 pass, want 29 to 38", passed)
		}
		second(false)
		events.want(t, "1.276s E_PIKE_BLOCKED ip=127.0.0.1", "6.258s E_PIKE_BLOCKED ip=127.0.0.1")
		for _, want := range []string{`level=WARN msg="PIKE - BLOCKing ip 127.0.0.1"`, `level=WARN msg="PIKE - UNBLOCKing ip 127.0.0.1"`} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log has no %s:\n%s", want, log.String())
			}
		}
	})
}

// An address is unblocked at the end of the first unit in which and before which there were
// fewer than x requests, however long it goes on, and E_PIKE_UNBLOCKED says so if it is on.
func TestUnblockEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		params := DefaultParams()
		params.UnblockEvent = true
		params.LogLevel = 4
		events := &recorder{start: time.Now()}
		p := New(params, Options{Raise: events.raise})
		if diff := cmp.Diff([]string{EventBlocked, EventUnblocked}, p.Events()); diff != "" {
			t.Error(diff)
		}
		p.Start()
		defer p.Close()
		a := addr(t, "2001:db8::1")
		for range 900 { // for 9 seconds, 200 in a unit
			p.Check(a)
			time.Sleep(10 * time.Millisecond)
		}
		if result := p.Check(a); result != Blocked {
			t.Errorf("Check = %d, want %d", result, Blocked)
		}
		time.Sleep(time.Minute)
		events.want(t, "500ms E_PIKE_BLOCKED ip=2001:db8::1", "12s E_PIKE_UNBLOCKED ip=2001:db8::1")
		if nodes := p.Stats().Nodes; nodes == 0 {
			t.Error("it is forgotten before its time")
		}
		time.Sleep(time.Minute + 16*2*time.Minute) // the nodes go one after the other
		if nodes := p.Stats().Nodes; nodes != 0 {
			t.Errorf("%d nodes are left", nodes)
		}
	})
}

// An event that nobody is subscribed to is no failure; any other error is, and is logged.
func TestRaiseFails(t *testing.T) {
	for _, test := range []struct {
		err    error
		failed uint64
	}{{evid.ErrNoSubscribers, 0}, {errors.New("the disk is full"), 1}} {
		synctest.Test(t, func(t *testing.T) {
			events := &recorder{start: time.Now(), err: fmt.Errorf("raise event: %w", test.err)}
			var log bytes.Buffer
			p := New(DefaultParams(), Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Raise: events.raise})
			p.Start()
			until(t, p, addr(t, "192.0.2.1"), Detected)
			p.Close()
			events.want(t, "0s E_PIKE_BLOCKED ip=192.0.2.1")
			if got := p.Stats(); got.Failed != test.failed || strings.Contains(log.String(), "level=ERROR") != (test.failed > 0) {
				t.Errorf("%v: %+v; the log:\n%s", test.err, got, log.String())
			}
		})
	}
}

// However long raising takes, checks do not wait, and events come in order. Close raises
// what waits, for a second.
func TestSlowRaise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lasts = 100 * time.Millisecond
		events := &recorder{start: time.Now()}
		p := New(DefaultParams(), Options{Raise: func(ctx context.Context, event string, params ...evid.Param) (evid.ID, error) {
			select {
			case <-ctx.Done():
				return evid.ID{}, ctx.Err()
			case <-time.After(lasts):
				return events.raise(ctx, event, params...)
			}
		}})
		p.Start()
		var want []string
		for i := range 20 {
			until(t, p, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Detected)
			if i < 10 {
				want = append(want, fmt.Sprintf("%v E_PIKE_BLOCKED ip=192.0.2.%d", time.Duration(i+1)*lasts, i))
			}
		}
		if time.Since(events.start) != 0 {
			t.Error("checks waited")
		}
		time.Sleep(lasts / 2)
		p.Close()
		if closing := time.Since(events.start); closing != closeTime+lasts/2 {
			t.Errorf("closed after %v", closing)
		}
		events.want(t, want...)
		if got := p.Stats(); got.Failed+got.Lost != 10 {
			t.Errorf("%+v, want 10 lost or failed", got)
		}
		p.Close() // again
	})
}

func TestCloseWithoutStart(_ *testing.T) { New(DefaultParams(), Options{}).Close() }
