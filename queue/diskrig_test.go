package queue_test

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/storetest"
)

// A diskRig is a queue on a store in memory. Its subscribers are to E_X.
type diskRig struct {
	*testing.T
	*queue.Queue
	store   *storetest.Memory
	params  queue.Params
	courier *courier
	log     bytes.Buffer
}

func newDiskRig(t *testing.T) *diskRig {
	return &diskRig{T: t, store: storetest.NewMemory(), params: queue.DefaultParams()}
}

func (r *diskRig) start() {
	r.Helper()
	r.load()
	r.restore()
}

// load opens the queue. Its subscribers are dormant until they are restored.
func (r *diskRig) load() {
	r.Helper()
	r.courier = &courier{readers: make(map[string]*reader)}
	q, err := queue.Open(r.params, r.courier, r.store, slog.New(slog.NewTextHandler(&r.log, nil)))
	if err != nil {
		r.Fatal(err)
	}
	r.Queue = q
}

func (r *diskRig) restore() {
	r.Helper()
	for s := range r.Restored() {
		r.must(r.OpenSub(&evid.Subscription{Event: s.Event, Socket: plainSocket(s.Socket), Expire: s.Expire, Expires: s.Expires, Script: s.Script}))
	}
}

func (r *diskRig) stop() {
	r.Helper()
	r.must(r.Close())
}

// kill goes on with what is on disk now, once a queue is started on it.
func (r *diskRig) kill() {
	killed := r.Queue
	r.store = r.store.Clone()
	_ = killed.Close() // so that nothing is left running; it writes to the old store
}

func (r *diskRig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *diskRig) subscribe(key string, expire time.Duration) {
	r.Helper()
	s := &evid.Subscription{Event: "E_X", Socket: plainSocket(key), Expire: expire}
	if expire != evid.Never {
		s.Expires = time.Now().Add(expire)
	}
	r.must(r.OpenSub(s))
}

// subscribeScript subscribes for ever, for the script.
func (r *diskRig) subscribeScript(key string) {
	r.Helper()
	r.must(r.OpenSub(&evid.Subscription{Event: "E_X", Socket: plainSocket(key), Expire: evid.Never, Script: true}))
}

// restored is what is restored of a subscriber.
func (r *diskRig) restored(key string) evid.Restored {
	r.Helper()
	for s := range r.Restored() {
		if s.Event == "E_X" && s.Socket == key {
			return s
		}
	}
	r.Fatalf("%s is not restored", key)
	return evid.Restored{}
}

// subscribeTo subscribes for ever, to any event.
func (r *diskRig) subscribeTo(event, key string) {
	r.Helper()
	r.must(r.OpenSub(&evid.Subscription{Event: event, Socket: plainSocket(key), Expire: evid.Never}))
}

func (r *diskRig) subscribeSync(key string) {
	r.Helper()
	r.must(r.OpenSub(&evid.Subscription{Event: "E_X", Socket: plainSocket(key), Sync: true, Expire: evid.Never}))
}

func (r *diskRig) raise(n int) {
	r.Helper()
	r.raiseOf("E_X", n)
}

// raiseOf raises events that are kept.
func (r *diskRig) raiseOf(event string, n int) {
	r.Helper()
	for range n {
		kept, err := r.Accept(r.Context(), &evid.Event{Name: event, Params: []evid.Param{evid.String("", strings.Repeat("x", 100))}})
		if !kept || err != nil {
			r.Fatalf("raise: %t, %v", kept, err)
		}
	}
}

// raiseMeanwhile raises an event, and returns when that waits for something. What comes of
// it is sent.
func (r *diskRig) raiseMeanwhile() <-chan error {
	result := make(chan error, 1)
	go func() {
		_, err := r.Accept(r.Context(), &evid.Event{Name: "E_X"})
		result <- err
	}()
	synctest.Wait()
	return result
}

// fail makes that the fault of all appends to a journal, until the store is healed.
func (r *diskRig) fail(journal queue.Journal, fault storetest.Fault) {
	r.store.OnAppend(func(j queue.Journal, _ uint64, _ []byte) storetest.Fault {
		if j == journal {
			return fault
		}
		return storetest.None
	})
}

func (r *diskRig) heal() {
	r.store.OnAppend(nil)
	r.store.Heal()
}

// raiseUnconfirmed raises an event that is kept, but of which the raiser hears that it may
// not be.
func (r *diskRig) raiseUnconfirmed() {
	r.Helper()
	r.fail(queue.EventLog, storetest.Kept)
	if _, err := r.Accept(r.Context(), &evid.Event{Name: "E_X"}); !errors.Is(err, queue.ErrUnconfirmed) {
		r.Fatalf("raise: %v, want that it is not confirmed", err)
	}
	r.heal()
}

// hold lets no event be written until it is released. That is its fault.
func (r *diskRig) hold(fault storetest.Fault) (release func()) {
	held := make(chan struct{})
	r.store.OnAppend(func(j queue.Journal, _ uint64, _ []byte) storetest.Fault {
		if j != queue.EventLog {
			return storetest.None
		}
		<-held
		return fault
	})
	return func() {
		close(held)
		synctest.Wait()
		r.store.OnAppend(nil)
	}
}

// hang has each read of the store fail after a while, until it is told to read again.
func (r *diskRig) hang() {
	r.store.OnRead(func(queue.Journal, uint64) error {
		time.Sleep(5 * time.Second)
		return errors.New("no answer")
	})
}

func (r *diskRig) reader(key string) *reader { return r.courier.readers["E_X "+key] }

// take takes all that waits for a subscriber, and says what it has lost before that.
func (r *diskRig) take(key string, fate queue.Fate) (ids []evid.ID, lost evid.DeadLetter) {
	return takeAll(r.reader(key), fate)
}

func takeAll(reader *reader, fate queue.Fate) (ids []evid.ID, lost evid.DeadLetter) {
	for {
		events, batch := reader.next(64)
		if batch.Lost.Count > 0 {
			lost = batch.Lost
		}
		if len(events) == 0 {
			return ids, lost
		}
		outcomes := make([]queue.Outcome, len(events))
		for i, e := range events {
			ids = append(ids, e.ID)
			outcomes[i] = queue.Outcome{Fate: fate}
			if fate == queue.Dead {
				outcomes[i].Reason = "refused"
			}
		}
		reader.done(events, outcomes)
	}
}

func (r *diskRig) letters() (letters []evid.DeadLetter) {
	r.Helper()
	for d, err := range r.DeadLetters(evid.DeadLetterFilter{}) {
		r.must(err)
		letters = append(letters, d)
	}
	return letters
}

func (r *diskRig) counts(key string) evid.Counts {
	r.Helper()
	c, ok := r.Counts("E_X", key)
	if !ok {
		r.Fatalf("%s is unknown", key)
	}
	if c.Accepted != c.Delivered+c.Dead+c.Dropped+c.Abandoned+c.Waiting {
		r.Errorf("counts of %s do not add up: %+v", key, c)
	}
	return c
}

// logged checks that the log has a line with all of these.
func (r *diskRig) logged(parts ...string) {
	r.Helper()
	for line := range strings.Lines(r.log.String()) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			return
		}
	}
	r.Errorf("the log has no line with %q:\n%s", parts, &r.log)
}

// saved waits until all has been saved, and trimmed.
func saved() { time.Sleep(5 * time.Second) }
