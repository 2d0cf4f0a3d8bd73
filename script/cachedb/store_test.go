package cachedb_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid/script/cachedb"
)

func local(tb testing.TB) *cachedb.Collection {
	tb.Helper()
	return collection(tb, open(tb, cachedb.DefaultParams()), "local")
}

func wantText(t *testing.T, c *cachedb.Collection, key, want string) {
	t.Helper()
	if got, found := c.Fetch(key); got != want || !found {
		t.Errorf("Fetch(%q) = %q, %t, want %q", key, got, found, want)
	}
}

func wantNone(t *testing.T, c *cachedb.Collection, key string) {
	t.Helper()
	if got, found := c.Fetch(key); found {
		t.Errorf("Fetch(%q) = %q, want none", key, got)
	}
}

func TestStoreFetchRemove(t *testing.T) {
	c := local(t)
	wantNone(t, c, "k")
	for _, value := range []string{"five", "", "\x00\xff", strings.Repeat("x", cachedb.MaxValue), "5"} {
		if err := c.Store("k", value, 0); err != nil {
			t.Fatal(err)
		}
		wantText(t, c, "k", value)
	}
	if !c.Remove("k") || c.Remove("k") {
		t.Error("Remove does not say whether the key was there")
	}
	wantNone(t, c, "k")
}

// A value that was stored is a counter when it is an integer.
func TestAdd(t *testing.T) {
	const none = "none"
	for _, test := range []struct {
		before string
		n      int64
		after  string
		err    error
	}{
		{none, 5, "5", nil},
		{none, -5, "-5", nil},
		{none, math.MinInt64, "-9223372036854775808", nil},
		{"5", 2, "7", nil},
		{"5", 0, "5", nil},
		{"+5", -7, "-2", nil},
		{"-5", 5, "0", nil},
		{"007", 1, "8", nil},
		{"9223372036854775806", 1, "9223372036854775807", nil},
		{"9223372036854775807", 1, "9223372036854775807", cachedb.ErrOverflow},
		{"-9223372036854775808", -1, "-9223372036854775808", cachedb.ErrOverflow},
		{"-9223372036854775808", math.MaxInt64, "-1", nil},
		{"", 1, "", cachedb.ErrNotInteger},
		{"-", 1, "-", cachedb.ErrNotInteger},
		{"5 ", 1, "5 ", cachedb.ErrNotInteger},
		{"0x5", 1, "0x5", cachedb.ErrNotInteger},
		{"1_0", 1, "1_0", cachedb.ErrNotInteger},
		{"five", 1, "five", cachedb.ErrNotInteger},
		{"9223372036854775808", 1, "9223372036854775808", cachedb.ErrNotInteger},
	} {
		c := local(t)
		if test.before != none {
			if err := c.Store("k", test.before, 0); err != nil {
				t.Fatal(err)
			}
		}
		sum, err := c.Add("k", test.n, 0)
		if !errors.Is(err, test.err) || (err == nil && strconv.FormatInt(sum, 10) != test.after) {
			t.Errorf("%s + %d = %d, %v, want %s, %v", test.before, test.n, sum, err, test.after, test.err)
		}
		wantText(t, c, "k", test.after)
	}
}

func TestSub(t *testing.T) {
	c := local(t)
	if n, err := c.Sub("k", 3, 0); n != -3 || err != nil {
		t.Errorf("without the key: %d, %v, want -3", n, err)
	}
	if n, err := c.Sub("k", -5, 0); n != 2 || err != nil {
		t.Errorf("with the key: %d, %v, want 2", n, err)
	}
	if n, err := c.Sub("k", math.MinInt64, 0); !errors.Is(err, cachedb.ErrOverflow) {
		t.Errorf("the lowest integer: %d, %v, want %v", n, err, cachedb.ErrOverflow)
	}
}

func TestFetchCounter(t *testing.T) {
	c := local(t)
	if _, found, err := c.FetchCounter("k"); found || err != nil {
		t.Errorf("without the key: found %t, %v", found, err)
	}
	for _, step := range []func() error{
		func() error { return c.Store("k", "7", 0) },
		func() error { _, err := c.Add("k", 0, 0); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
		if n, found, err := c.FetchCounter("k"); n != 7 || !found || err != nil {
			t.Errorf("FetchCounter = %d, %t, %v, want 7", n, found, err)
		}
	}
	if err := c.Store("k", "seven", 0); err != nil {
		t.Fatal(err)
	}
	const want = `fetch "k": the value is no integer of 64 bits`
	if _, _, err := c.FetchCounter("k"); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestLimits(t *testing.T) {
	c := local(t)
	longest := strings.Repeat("k", cachedb.MaxKey)
	if err := c.Store(longest, "x", cachedb.MaxExpire); err != nil {
		t.Error(err)
	}
	for _, test := range []struct {
		key, value string
		expire     time.Duration
		want       string
	}{
		{"", "x", 0, `store "": the key is empty`},
		{longest + "k", "x", 0, `store "` + longest[:64] + `": the key has 1025 bytes, at most 1024 are possible`},
		{"k", strings.Repeat("x", cachedb.MaxValue+1), 0, `store "k": the value has 524289 bytes, at most 524288 are possible`},
		{"k", "x", -time.Second, `store "k": expected an expiry of 0 to 596523h14m7s, got -1s`},
		{"k", "x", cachedb.MaxExpire + 1, `store "k": expected an expiry of 0 to 596523h14m7s, got 596523h14m7.000000001s`},
	} {
		if err := c.Store(test.key, test.value, test.expire); err == nil || err.Error() != test.want {
			t.Errorf("error %v, want %s", err, test.want)
		}
	}
	if _, err := c.Add("", 1, 0); err == nil || err.Error() != `add 1 to "": the key is empty` {
		t.Errorf("Add without a key: %v", err)
	}
	wantNone(t, c, "")
	wantNone(t, c, "k")
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := local(t)
		store := func(value string, expire time.Duration) {
			t.Helper()
			if err := c.Store("k", value, expire); err != nil {
				t.Fatal(err)
			}
		}
		add := func(expire time.Duration, want int64) {
			t.Helper()
			if n, err := c.Add("k", 1, expire); n != want || err != nil {
				t.Errorf("Add = %d, %v, want %d", n, err, want)
			}
		}
		store("1", time.Minute)
		time.Sleep(time.Minute - 1)
		wantText(t, c, "k", "1")
		time.Sleep(time.Nanosecond)
		wantNone(t, c, "k")
		if c.Remove("k") {
			t.Error("an entry that has expired is removed")
		}

		// A counter lives from its first event on, whatever is added, and then begins again.
		add(time.Minute, 1)
		time.Sleep(59 * time.Second)
		add(time.Hour, 2)
		add(0, 3)
		time.Sleep(time.Second)
		add(time.Minute, 1)

		// Storing renews, up to for ever.
		time.Sleep(59 * time.Second)
		store("2", time.Minute)
		time.Sleep(59 * time.Second)
		wantText(t, c, "k", "2")
		store("3", 0)
		time.Sleep(10 * 365 * 24 * time.Hour)
		wantText(t, c, "k", "3")
		add(time.Second, 4)
		time.Sleep(time.Hour)
		wantText(t, c, "k", "4")
	})
}

// The memory of what has expired comes back with later calls, a little with each.
func TestExpiredGoWithLaterCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, cachedb.DefaultParams())
		c := collection(t, s, "local")
		const n = 10_000
		for i := range n {
			if _, err := c.Add("old"+strconv.Itoa(i), 1, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if got := s.Stats().Entries; got != n {
			t.Errorf("%d entries before any call, want %d", got, n)
		}
		for i := range n {
			c.Fetch("new" + strconv.Itoa(i))
		}
		if got := s.Stats(); got != (cachedb.Stats{}) {
			t.Errorf("%+v is left", got)
		}
	})
}

// With no room, what has expired goes, in all collections, and then new keys are refused.
func TestFull(t *testing.T) {
	const most = 1000
	for _, test := range []struct {
		about  string
		params cachedb.Params
	}{
		{"entries", cachedb.Params{MaxBytes: 1 << 30, MaxEntries: most}},
		{"bytes", cachedb.Params{MaxBytes: most * (160 + 8)}},
	} {
		t.Run(test.about, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.params.Collections = []string{"other"}
				s := open(t, test.params)
				c, other := collection(t, s, "local"), collection(t, s, "local:other")
				key := func(i int) string { return fmt.Sprintf("%08d", i) }
				for i := range most {
					if _, err := []*cachedb.Collection{c, other}[i%2].Add(key(i), 1, time.Minute); err != nil {
						t.Fatal(err)
					}
				}
				const want = `add 1 to "new": the cache is full: max_bytes or max_entries of cachedb_local is reached`
				if _, err := c.Add("new", 1, 0); err == nil || err.Error() != want {
					t.Errorf("Add of a new key: %v, want %s", err, want)
				}
				if err := c.Store("new", "x", 0); !errors.Is(err, cachedb.ErrFull) {
					t.Errorf("Store of a new key: %v, want %v", err, cachedb.ErrFull)
				}
				wantNone(t, c, "new")
				if n, err := c.Add(key(0), 1, 0); n != 2 || err != nil {
					t.Errorf("Add to a counter = %d, %v, want 2", n, err)
				}
				if got := s.Stats(); got.Entries != most || got.Refused != 2 {
					t.Errorf("%+v, want %d entries, 2 refused", got, most)
				}
				time.Sleep(time.Minute)
				for i := range most {
					if err := c.Store(key(i), "", 0); err != nil {
						t.Fatal(err)
					}
				}
				if got := s.Stats(); got.Entries != most || got.Refused != 2 {
					t.Errorf("%+v after the expiry, want %d entries, 2 refused", got, most)
				}
			})
		})
	}
}

// A value for which there is no room leaves the one before, with the time it had.
func TestFullKeepsValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := collection(t, open(t, cachedb.Params{MaxBytes: 1 << 16}), "local")
		if err := c.Store("k", "before", time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := c.Store("k", strings.Repeat("x", 1<<16), 0); !errors.Is(err, cachedb.ErrFull) {
			t.Errorf("Store = %v, want %v", err, cachedb.ErrFull)
		}
		wantText(t, c, "k", "before")
		time.Sleep(time.Minute)
		wantNone(t, c, "k")
	})
}

// Whatever is done, a store has the values that a plain map would have, and the room that
// is taken is that of what is there.
func TestModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type entry struct {
			value   string
			expires time.Time
		}
		s := open(t, cachedb.DefaultParams())
		c := collection(t, s, "local")
		model := make(map[string]entry)
		random := rand.New(rand.NewPCG(1, 2))
		for range 50_000 {
			time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
			now := time.Now()
			key := "k" + strconv.Itoa(random.IntN(300))
			expire := time.Duration(1+random.IntN(200)) * time.Second
			e, found := model[key]
			if found && !now.Before(e.expires) {
				delete(model, key)
				e, found = entry{}, false
			}
			switch random.IntN(4) {
			case 0:
				e = entry{strings.Repeat("1", 1+random.IntN(9)), now.Add(expire)}
				model[key] = e
				if err := c.Store(key, e.value, expire); err != nil {
					t.Fatal(err)
				}
			case 1:
				n, _ := strconv.ParseInt(e.value, 10, 64)
				if !found {
					e.expires = now.Add(expire)
				}
				e.value = strconv.FormatInt(n+7, 10)
				model[key] = e
				if sum, err := c.Add(key, 7, expire); sum != n+7 || err != nil {
					t.Fatalf("Add(%q) = %d, %v, want %d", key, sum, err, n+7)
				}
			case 2:
				if got, ok := c.Fetch(key); got != e.value || ok != found {
					t.Fatalf("Fetch(%q) = %q, %t, want %q, %t", key, got, ok, e.value, found)
				}
			case 3:
				delete(model, key)
				if ok := c.Remove(key); ok != found {
					t.Fatalf("Remove(%q) = %t, want %t", key, ok, found)
				}
			}
		}
		for i := range 300 {
			c.Remove("k" + strconv.Itoa(i))
		}
		if got := s.Stats(); got != (cachedb.Stats{}) {
			t.Errorf("%+v is left", got)
		}
	})
}

// Every call counts, however many there are at once, also of keys that come and go.
func TestStressAdd(t *testing.T) {
	const callers, times, counters = 16, 2000, 7
	s := open(t, cachedb.Params{MaxBytes: 1 << 20})
	c := collection(t, s, "local")
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			own := "own" + strconv.Itoa(caller)
			for i := range times {
				if _, err := c.Add("shared"+strconv.Itoa(i%counters), 1, time.Hour); err != nil {
					t.Error(err)
				}
				if n, err := c.Add(own, int64(i), time.Nanosecond); err != nil || n < 0 {
					t.Errorf("Add = %d, %v", n, err)
				}
				if err := c.Store(own, "5", time.Duration(i)); err != nil {
					t.Error(err)
				}
				c.Fetch(own)
				c.Remove(own)
				s.Stats()
			}
		})
	}
	wg.Wait()
	sum := int64(0)
	for i := range counters {
		key := "shared" + strconv.Itoa(i)
		n, _, err := c.FetchCounter(key)
		if err != nil {
			t.Error(err)
		}
		sum += n
		c.Remove(key)
	}
	if sum != callers*times {
		t.Errorf("the sum is %d, want %d", sum, callers*times)
	}
	if got := s.Stats(); got != (cachedb.Stats{}) {
		t.Errorf("%+v is left", got)
	}
}

// However many want the last room, there are never more entries than allowed.
func TestStressFull(t *testing.T) {
	const most, callers, times = 100, 8, 2000
	s := open(t, cachedb.Params{MaxBytes: 1 << 20, MaxEntries: most})
	c := collection(t, s, "local")
	stored := make([]int, callers)
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := range times {
				switch _, err := c.Add(fmt.Sprint(caller, i), 1, 0); {
				case err == nil:
					stored[caller]++
				case !errors.Is(err, cachedb.ErrFull):
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range stored {
		sum += n
	}
	got := s.Stats()
	if sum != most || got.Entries != most || got.Refused != callers*times-most {
		t.Errorf("%d stored, %+v, want %d entries, the others refused", sum, got, most)
	}
}
