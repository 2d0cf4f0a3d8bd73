package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/jetstream"
	"github.com/evid/evid/queue/storetest"
)

// A taker is a Deliverer that takes all events at once, in the goroutines that it is
// woken with.
type taker struct {
	wg   sync.WaitGroup
	stop chan struct{} // nothing is taken once it is closed

	mu    sync.Mutex
	fate  queue.Fate         // of all
	hold  chan struct{}      // nothing is taken until it is closed; nil: all is at once
	taken map[string][]int64 // by socket
	last  time.Time
	gap   time.Duration // the longest between two events
}

type takenReader struct {
	*taker
	cursor *queue.Cursor
	key    string
}

// Attach implements [queue.Deliverer].
func (d *taker) Attach(c *queue.Cursor, s *evid.Subscription) queue.Reader {
	return &takenReader{d, c, s.Socket.Key()}
}

// Wake implements [queue.Deliverer].
func (d *taker) Wake(cursors []*queue.Cursor) (kept bool) {
	for _, c := range cursors {
		d.wg.Go(c.Reader().(*takenReader).take)
	}
	return false
}

func (r *takenReader) take() {
	if !r.mayTake() {
		return
	}
	events := make([]*evid.Event, queue.MaxBatch)
	for {
		n := r.cursor.Next(events).Events
		if n == 0 {
			return
		}
		r.note(events[:n])
		outcomes := make([]queue.Outcome, n)
		for i := range outcomes {
			outcomes[i].Fate = r.fate
			if r.fate == queue.Dead {
				outcomes[i].Reason = "refused"
			}
		}
		if r.cursor.Done(events[:n], outcomes) == queue.Nothing {
			return
		}
	}
}

// pause has nothing taken until goOn.
func (d *taker) pause() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hold = make(chan struct{})
}

func (d *taker) goOn() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.hold)
	d.hold = nil
}

// mayTake waits as long as the taker pauses.
func (d *taker) mayTake() bool {
	d.mu.Lock()
	hold := d.hold
	d.mu.Unlock()
	if hold == nil {
		return true
	}
	select {
	case <-hold:
		return true
	case <-d.stop:
		return false
	}
}

func (d *taker) note(r *takenReader, events []*evid.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if !d.last.IsZero() {
		d.gap = max(d.gap, now.Sub(d.last))
	}
	d.last = now
	for _, e := range events {
		d.taken[r.key] = append(d.taken[r.key], e.Params[0].Int)
	}
}

func (r *takenReader) note(events []*evid.Event) { r.taker.note(r, events) }

// Renew implements [queue.Reader].
func (*takenReader) Renew(*evid.Subscription) {}

// Discard implements [queue.Reader].
func (*takenReader) Discard() {}

func (*takenReader) Reads() {}

// Detach implements [queue.Reader].
func (*takenReader) Detach() {}

// Report implements [queue.Reader].
func (*takenReader) Report(*evid.Status) {}

type textSocket string

func (s textSocket) Key() string    { return string(s) }
func (s textSocket) String() string { return string(s) }

// A running is a queue on a store.
type running struct {
	*queue.Queue
	store *jetstream.Store
	taker *taker
}

func run(t *testing.T, p jetstream.Params) *running {
	t.Helper()
	return runQueue(t, open(t, p), queue.DefaultParams(), &taker{fate: queue.Delivered})
}

func runQueue(t *testing.T, s *jetstream.Store, p queue.Params, d *taker) *running {
	t.Helper()
	d.taken, d.stop = make(map[string][]int64), make(chan struct{})
	r := &running{store: s, taker: d}
	var err error
	r.Queue, err = queue.Open(p, d, s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for s := range r.Restored() {
		r.subscribe(t, s.Socket)
	}
	return r
}

func (r *running) subscribe(t *testing.T, socket string) {
	t.Helper()
	s := &evid.Subscription{Event: "E_X", Socket: textSocket(socket), Expire: evid.Never}
	if err := r.OpenSub(s); err != nil {
		t.Fatal(err)
	}
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	r.Refuse()
	close(r.taker.stop)
	r.taker.wg.Wait()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := r.store.Close(); err != nil {
		t.Error(err)
	}
}

// storm raises from many goroutines until stop is closed, and returns what was
// acknowledged. What is not is tried again, as another event.
func (r *running) storm(ctx context.Context, first int64, stop <-chan struct{}) []int64 {
	const raisers = 64
	var mu sync.Mutex
	next := first
	var acked []int64
	var wg sync.WaitGroup
	for range raisers {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				mu.Lock()
				n := next
				next++
				mu.Unlock()
				kept, err := r.Accept(ctx, &evid.Event{Name: "E_X", Params: []evid.Param{evid.Int("n", n)}})
				if err != nil || !kept {
					continue
				}
				mu.Lock()
				acked = append(acked, n)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return acked
}

// check checks that a subscriber got all that was acknowledged, and each once.
func (d *taker) check(t *testing.T, socket string, acked []int64) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	got := slices.Clone(d.taken[socket])
	slices.Sort(got)
	for i := 1; i < len(got); i++ {
		if got[i] == got[i-1] {
			t.Errorf("%s got event %d twice", socket, got[i])
		}
	}
	for _, n := range acked {
		if _, found := slices.BinarySearch(got, n); !found {
			t.Errorf("%s did not get event %d", socket, n)
		}
	}
	if len(acked) == 0 {
		t.Error("nothing was acknowledged")
	}
}

// sameOrder checks that two subscribers got the same events in the same order.
func (d *taker) sameOrder(t *testing.T, a, b string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.taken[a], d.taken[b]) {
		t.Errorf("%s and %s got %d and %d events, not the same ones in the same order", a, b, len(d.taken[a]), len(d.taken[b]))
	}
}

// queueStorm raises, disturbs, raises more, and restarts: all that was acknowledged is
// handed out, once, in one order.
func queueStorm(t *testing.T, p jetstream.Params, disturb func()) (gap time.Duration) {
	r := run(t, p)
	r.subscribe(t, "x:1")
	r.subscribe(t, "x:2")
	stop := make(chan struct{})
	var acked []int64
	var storm sync.WaitGroup
	storm.Go(func() { acked = r.storm(t.Context(), 0, stop) })
	const some = 2000
	r.taker.await(t, some)
	disturb()
	r.taker.await(t, some)
	close(stop)
	storm.Wait()
	r.awaitSave(t)
	r.stop(t)
	r.taker.check(t, "x:1", acked)
	r.taker.sameOrder(t, "x:1", "x:2")
	gap = r.taker.gap

	r = run(t, p)
	stop = make(chan struct{})
	storm.Go(func() { acked = r.storm(t.Context(), 1<<40, stop) })
	r.taker.await(t, some)
	close(stop)
	storm.Wait()
	r.stop(t)
	r.taker.check(t, "x:1", acked)
	r.taker.sameOrder(t, "x:1", "x:2")
	return gap
}

// awaitSave waits until what becomes of subscribers can be saved: that journal may have
// lost its leader as well, and get another one later.
func (r *running) awaitSave(t *testing.T) {
	t.Helper()
	s := &evid.Subscription{Event: "E_OTHER", Socket: textSocket("x:0"), Expire: evid.Never}
	until(t, 60*time.Second, "a subscription is saved", func() bool { return r.OpenSub(s) == nil })
	if err := r.CloseSub(s.Event, s.Socket.Key(), evid.Unsubscribed); err != nil {
		t.Error(err)
	}
}

// await waits until the first subscriber has got so many more events.
func (d *taker) await(t *testing.T, more int) {
	t.Helper()
	count := func() int {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.taken["x:1"])
	}
	before := count()
	until(t, 30*time.Second, fmt.Sprintf("%d more events are handed out", more), func() bool { return count() >= before+more })
}

func TestQueueEmbedded(t *testing.T) {
	p := inDir(t.TempDir())
	queueStorm(t, p, func() {})
}

func TestQueueExternal(t *testing.T) {
	s := startNATS(t, &server.Options{StoreDir: t.TempDir()})
	queueStorm(t, inNATS(s.ClientURL(), "evid"), func() {})
}

// The leader of the event log is killed in the middle of a storm: nothing that was
// acknowledged is lost, and soon events are handed out again. NATS takes 4 to 9 s to
// choose another leader.
func TestQueueOnCluster(t *testing.T) {
	cluster := startNodes(t)
	gap := queueStorm(t, inNATS(cluster.urls(), "evid"), func() { cluster.killLeader(t, "evid-events") })
	t.Logf("longest time without an event: %v", gap)
	if gap > 20*time.Second {
		t.Errorf("no event for %v", gap)
	}
}

// largeTexts returns what gives large events that take as much on disk: a chunk of them
// has none twice.
func largeTexts() func(n int64) string {
	const size, count = 20_000, 100
	noise := string(storetest.Noise(size * count))
	return func(n int64) string { return noise[n%count*size:][:size] }
}

// fill raises large events from several goroutines until all have been told that the disk
// is full, and returns what was acknowledged.
func (r *running) fill(t *testing.T, first int64) []int64 {
	t.Helper()
	const raisers = 8
	text := largeTexts()
	var mu sync.Mutex
	var acked []int64
	var wg sync.WaitGroup
	for i := range int64(raisers) {
		wg.Go(func() {
			for n := first + i; n < first+100_000; n += raisers {
				kept, err := r.Accept(t.Context(), &evid.Event{Name: "E_X", Params: []evid.Param{evid.Int("n", n), evid.String("", text(n))}})
				switch {
				case err == nil && kept:
					mu.Lock()
					acked = append(acked, n)
					mu.Unlock()
				case errors.Is(err, queue.ErrUnhealthy) && strings.Contains(err.Error(), "the queue cannot write: the disk is full: expected "):
					return
				}
			}
			t.Error("the disk does not get full")
		})
	}
	wg.Wait()
	return acked
}

// With the default limit a small disk does not get full: the oldest events are dropped.
func TestQueueOnSmallDisk(t *testing.T) {
	t.Parallel()
	p := inDir(filepath.Join(mountTmpfs(t, "24m"), "queue"))
	p.Sync = jetstream.SyncNever
	r := run(t, p)
	r.subscribe(t, "x:1")
	r.taker.pause()
	text := largeTexts()
	var wg sync.WaitGroup
	for i := range int64(8) {
		wg.Go(func() {
			for n := i; n < 8*500; n += 8 {
				if _, err := r.Accept(t.Context(), &evid.Event{Name: "E_X", Params: []evid.Param{evid.Int("n", n), evid.String("", text(n))}}); err != nil {
					t.Errorf("raise: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	r.stop(t)
}

// has reports whether a subscriber has got all of these.
func (d *taker) has(socket string, all []int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	got := slices.Sorted(slices.Values(d.taken[socket]))
	return !slices.ContainsFunc(all, func(n int64) bool {
		_, found := slices.BinarySearch(got, n)
		return !found
	})
}

// A disk that the queue has filled is well again once all is delivered: also if evid was
// started anew before that, and if all of it becomes dead letters.
func TestQueueFillsDisk(t *testing.T) {
	for _, test := range []struct {
		name, size string
		rounds     int64
		restart    bool
		fate       queue.Fate
	}{
		{"delivered", "24m", 3, false, queue.Delivered},
		{"restart", "24m", 3, true, queue.Delivered},
		{"dead", "128m", 1, false, queue.Dead},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := inDir(filepath.Join(mountTmpfs(t, test.size), "queue"))
			p.CommitTimeout = 2 * time.Second
			params := queue.DefaultParams()
			params.MaxBytes, params.MaxDeadLetterBytes = 1<<30, 16<<20
			log := &logBuffer{}
			defer func() {
				if t.Failed() {
					t.Logf("the log says:\n%s", log)
				}
			}()
			start := func() *running {
				return runQueue(t, openLogged(t, p, log.logger()), params, &taker{fate: test.fate})
			}
			r := start()
			r.subscribe(t, "x:1")
			for round := range test.rounds {
				r.taker.pause()
				acked := r.fill(t, round<<20)
				if test.restart {
					r.stop(t)
					r = start()
				} else {
					r.taker.goOn()
				}
				until(t, time.Minute, "all is taken", func() bool { return r.taker.has("x:1", acked) })
				until(t, 30*time.Second, "the store is well", func() bool { return r.store.Health() == nil })
				r.taker.check(t, "x:1", acked)
			}
			r.stop(t)
			for _, text := range []string{"has given up its reserve", "can write again"} {
				if strings.Count(log.String(), text) < int(test.rounds) {
					t.Errorf("the log does not say each time that it %s", text)
				}
			}
		})
	}
}
