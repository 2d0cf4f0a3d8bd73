package ratelimit_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid/script/ratelimit"
)

func open(tb testing.TB, change func(p *ratelimit.Params)) *ratelimit.Limiter {
	tb.Helper()
	p := ratelimit.DefaultParams()
	if change != nil {
		change(&p)
	}
	l, err := ratelimit.New(p)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// passes makes checks and returns how many passed, which must be the first ones.
func passes(tb testing.TB, l *ratelimit.Limiter, checks int, name string, limit int64, a ratelimit.Algorithm) int {
	tb.Helper()
	passed := 0
	for i := range checks {
		pass, err := l.Check(name, limit, a)
		if err != nil {
			tb.Fatal(err)
		}
		if pass {
			if passed++; passed != i+1 {
				tb.Errorf("check %d passed, after one that did not", i+1)
			}
		}
	}
	return passed
}

// A limit of 3 per second is 30 in each interval of 10 seconds, which begin when the Limiter
// does.
func TestTailDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, nil)
		expect := func(checks, want int) {
			t.Helper()
			if got := passes(t, l, checks, "p", 3, ratelimit.Default); got != want {
				t.Errorf("after %v: %d passed of %d, want %d", time.Now(), got, checks, want)
			}
		}
		time.Sleep(9999 * time.Millisecond)
		expect(40, 30)
		time.Sleep(time.Millisecond) // the next interval
		expect(20, 20)
		time.Sleep(9999 * time.Millisecond) // its end
		expect(20, 10)
		time.Sleep(time.Millisecond)
		expect(1, 1)
		if p, known := l.Pipe("p"); !known || p.Counter != 40 {
			t.Errorf("in the interval before: %+v, want 40", p)
		}
		time.Sleep(20 * time.Second)
		if p, known := l.Pipe("p"); !known || p.Counter != 0 {
			t.Errorf("after an interval without a check: %+v, want 0", p)
		}
	})
}

func TestLimitPerInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, func(p *ratelimit.Params) { p.LimitPerInterval = true })
		for range 3 {
			if got := passes(t, l, 10, "p", 4, ratelimit.TailDrop); got != 4 {
				t.Errorf("%d passed, want 4", got)
			}
			time.Sleep(10 * time.Second)
		}
	})
}

// The limit of the last check holds, and 0 lets nothing pass.
func TestLimitChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, func(p *ratelimit.Params) { p.TimerInterval = 1 })
		for i, step := range []struct {
			limit        int64
			checks, want int
		}{{0, 2, 0}, {5, 4, 3}, {8, 3, 2}} {
			if got := passes(t, l, step.checks, "p", step.limit, ratelimit.Default); got != step.want {
				t.Errorf("step %d: %d passed, want %d", i, got, step.want)
			}
		}
	})
}

// A window of two seconds moves on by half a second.
func TestSBT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, func(p *ratelimit.Params) { p.WindowSize, p.SlotPeriod = 2, 500 })
		expect := func(checks, want int, wantCount int64) {
			t.Helper()
			got := passes(t, l, checks, "p", 10, ratelimit.SBT)
			count, known := l.Count("p")
			if got != want || count != wantCount || !known {
				t.Errorf("at %v: %d passed, %d in the window, want %d, %d", time.Now(), got, count, want, wantCount)
			}
		}
		expect(4, 4, 4) // slot 0
		time.Sleep(500 * time.Millisecond)
		expect(4, 4, 8) // slot 1
		time.Sleep(500 * time.Millisecond)
		expect(4, 2, 12) // slot 2
		time.Sleep(999 * time.Millisecond)
		expect(1, 0, 13) // the end of slot 3: slot 0 still counts
		time.Sleep(time.Millisecond)
		expect(1, 1, 10) // slot 4: it does not any more
		time.Sleep(1999 * time.Millisecond)
		expect(9, 9, 10) // slot 7, with slot 4
		time.Sleep(time.Millisecond)
		expect(1, 1, 10) // slot 8: without it
		time.Sleep(3 * time.Second)
		expect(11, 10, 11)
		time.Sleep(time.Hour)
		expect(0, 0, 0)
	})
}

// While more come than the limit, none pass.
func TestSBTOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, nil)
		passed := 0
		for range 600 { // a minute
			passed += passes(t, l, 2, "p", 50, ratelimit.SBT)
			time.Sleep(100 * time.Millisecond)
		}
		if passed != 50 {
			t.Errorf("%d passed, want the first 50", passed)
		}
	})
}

func TestDecrementAndReset(t *testing.T) {
	for _, a := range []ratelimit.Algorithm{ratelimit.TailDrop, ratelimit.SBT} {
		t.Run(a.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := open(t, func(p *ratelimit.Params) { p.LimitPerInterval = true })
				passes(t, l, 3, "p", 2, a)
				time.Sleep(2 * time.Second) // other slots
				expect := func(known bool, want int64) {
					t.Helper()
					if n, _ := l.Count("p"); n != want || !known {
						t.Errorf("count %d, known %t, want %d", n, known, want)
					}
				}
				expect(l.Decrement("p"), 2)
				expect(l.Decrement("p"), 1)
				if pass, err := l.Check("p", 2, a); !pass || err != nil {
					t.Errorf("what was taken back counts: %t, %v", pass, err)
				}
				expect(l.Reset("p"), 0)
				expect(l.Decrement("p"), 0)
				expect(true, 0)
				if l.Decrement("q") || l.Reset("q") {
					t.Error("there is a pipe that nobody has checked")
				}
				if _, known := l.Count("q"); known {
					t.Error("counting a pipe has made it")
				}
			})
		})
	}
}

// A pipe keeps its algorithm until it expires, and what it counted as long as that matters.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, func(p *ratelimit.Params) { p.ExpireTime = 60 })
		algorithm := func(a ratelimit.Algorithm) string {
			passes(t, l, 1, "p", 1, a)
			p, _ := l.Pipe("p")
			return p.Algorithm.String()
		}
		if got := algorithm(ratelimit.SBT) + algorithm(ratelimit.TailDrop); got != "SBTSBT" {
			t.Errorf("algorithms: %s", got)
		}
		time.Sleep(time.Minute)
		if _, known := l.Pipe("p"); !known {
			t.Error("the pipe has gone after expire_time, want past it")
		}
		time.Sleep(time.Nanosecond)
		if _, known := l.Pipe("p"); known || len(l.Pipes()) > 0 {
			t.Error("the pipe is still there")
		}
		if got := algorithm(ratelimit.TailDrop); got != "TAILDROP" {
			t.Errorf("algorithm: %s", got)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		l := open(t, func(p *ratelimit.Params) { p.ExpireTime = 0 })
		passes(t, l, 100, "p", 1, ratelimit.Default)
		time.Sleep(5 * time.Second)
		if got := passes(t, l, 1, "p", 1, ratelimit.Default); got != 0 {
			t.Error("a pipe has gone in the middle of its interval")
		}
	})
}

// Whoever makes up names fills the room, and not more; pipes that are there go on.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, func(p *ratelimit.Params) { p.MaxBytes, p.ExpireTime = 1<<16, 60 })
		var err error
		made := 0
		for ; err == nil && made < 10_000; made++ {
			_, err = l.Check(fmt.Sprintf("pipe%04d", made), 1, ratelimit.Default)
		}
		made--
		if want := (1 << 16) / 200; !errors.Is(err, ratelimit.ErrFull) || made != want {
			t.Errorf("%d pipes, then %v, want %d", made, err, want)
		}
		if pass, err := l.Check("pipe0000", 1, ratelimit.Default); !pass || err != nil {
			t.Errorf("a pipe that is there: %t, %v", pass, err)
		}
		time.Sleep(time.Minute + time.Second)
		for i := range made {
			if _, err := l.Check(fmt.Sprintf("next%04d", i), 1, ratelimit.Default); err != nil {
				t.Fatalf("after the others have expired: %v", err)
			}
		}
		if got := len(l.Pipes()); got != made {
			t.Errorf("%d pipes, want %d", got, made)
		}
	})
}

func TestErrors(t *testing.T) {
	l := open(t, nil)
	for _, test := range []struct {
		name  string
		limit int64
		want  string
	}{
		{"", 1, "the name of the pipe is empty"},
		{strings.Repeat("x", 257), 1, "the name of the pipe has 257 bytes, at most 256 are possible"},
		{"p", -1, "expected a limit of 0 to 2147483647, got -1"},
		{"p", math.MaxInt32 + 1, "expected a limit of 0 to 2147483647, got 2147483648"},
	} {
		if pass, err := l.Check(test.name, test.limit, ratelimit.Default); pass || err == nil || err.Error() != test.want {
			t.Errorf("%t, %v, want %s", pass, err, test.want)
		}
	}
	for _, test := range []struct {
		window, slot int
		want         string
	}{
		{10, 300, "window_size of 10s is no multiple of the slot_period of 300ms"},
		{1, 2000, "window_size of 1s is no multiple of the slot_period of 2s"},
		{11, 1, "window_size of 11s has 11000 times the slot_period of 1ms: expected at most 10000"},
	} {
		p := ratelimit.DefaultParams()
		p.WindowSize, p.SlotPeriod = test.window, test.slot
		if _, err := ratelimit.New(p); err == nil || err.Error() != test.want {
			t.Errorf("%v, want %s", err, test.want)
		}
	}
}

func TestPipes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, nil)
		passes(t, l, 2, "b", 7, ratelimit.SBT)
		passes(t, l, 3, "a", 5, ratelimit.TailDrop)
		time.Sleep(10 * time.Second)
		passes(t, l, 1, "c", 0, ratelimit.SBT)
		want := []ratelimit.Pipe{
			{Name: "a", Algorithm: ratelimit.TailDrop, Limit: 5, Counter: 3},
			{Name: "b", Algorithm: ratelimit.SBT, Limit: 7},
			{Name: "c", Algorithm: ratelimit.SBT, Counter: 1},
		}
		if diff := cmp.Diff(want, l.Pipes()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// However many check at once, no more pass than the limit in an interval, and with SBT in a
// window, and no fewer.
func TestConcurrently(t *testing.T) {
	for _, a := range []ratelimit.Algorithm{ratelimit.TailDrop, ratelimit.SBT} {
		t.Run(a.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := open(t, func(p *ratelimit.Params) { p.TimerInterval, p.WindowSize, p.ExpireTime = 1, 1, 0 })
				for range 20 {
					const callers, checks, limit = 8, 100, 50
					var passed atomic.Int64
					var running sync.WaitGroup
					for caller := range callers {
						running.Go(func() {
							for i := range checks {
								pass, err := l.Check("p", limit, a)
								if err != nil {
									t.Error(err)
								}
								if pass {
									passed.Add(1)
								}
								l.Check(fmt.Sprintf("other%d_%d", caller, i%20), 1, ratelimit.SBT)
							}
							l.Pipes()
						})
					}
					running.Wait()
					if n := passed.Load(); n != limit {
						t.Errorf("%d passed, want %d", n, limit)
					}
					time.Sleep(1500 * time.Millisecond)
				}
			})
		})
	}
}

// The same while time runs: in each interval of the real clock no more than the limit pass.
func TestRealTime(t *testing.T) {
	const limit = 1000
	l := open(t, func(p *ratelimit.Params) { p.TimerInterval, p.LimitPerInterval = 1, true })
	began := time.Now()
	var running sync.WaitGroup
	var passed atomic.Int64
	for range 4 {
		running.Go(func() {
			for time.Since(began) < 1200*time.Millisecond {
				if pass, err := l.Check("p", limit, ratelimit.Default); err != nil {
					t.Error(err)
				} else if pass {
					passed.Add(1)
				}
			}
		})
	}
	running.Wait()
	intervals := int64(time.Since(began)/time.Second) + 1 // the Limiter is a little older
	if n := passed.Load(); n < limit || n > limit*(intervals+1) {
		t.Errorf("%d passed in %d intervals of %d", n, intervals, limit)
	}
}
