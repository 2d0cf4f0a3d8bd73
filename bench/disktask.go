package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
)

// manyRaisers are enough to fill chunks.
const manyRaisers = 256

// publish measures what JetStream itself takes for an entry as large as one event's: a
// server in this process that syncs each one, and the client of NATS.
func publish(t task) (result, error) {
	var r result
	s, err := server.NewServer(&server.Options{
		DontListen: true, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.Dir, SyncAlways: true,
	})
	if err != nil {
		return r, fmt.Errorf("make server: %w", err)
	}
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	conn, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return r, fmt.Errorf("connect to server: %w", err)
	}
	defer conn.Close()
	js, err := conn.JetStream()
	if err != nil {
		return r, fmt.Errorf("use JetStream: %w", err)
	}
	if _, err := js.AddStream(&nats.StreamConfig{Name: "bare", Subjects: []string{"bare"}, Storage: nats.FileStorage}); err != nil {
		return r, fmt.Errorf("make stream: %w", err)
	}
	const chunk = 80 // bytes, about
	entry := make([]byte, chunk)
	return r, t.count(&r, 1, func() error {
		_, err := js.Publish("bare", entry)
		return err
	})
}

// count has so many goroutines do something over and over, and measures how often.
func (t task) count(r *result, goroutines int, do func() error) error {
	var n atomic.Int64
	run := func(period time.Duration) error {
		var group errgroup.Group
		end := time.Now().Add(period)
		for range goroutines {
			group.Go(func() error {
				for time.Now().Before(end) {
					if err := do(); err != nil {
						return err
					}
					n.Add(1)
				}
				return nil
			})
		}
		return group.Wait()
	}
	if err := run(warmUp); err != nil {
		return err
	}
	m, err := startMeter()
	if err != nil {
		return err
	}
	before := n.Load()
	if err := run(t.For); err != nil {
		return err
	}
	return m.stop(n.Load()-before, r)
}

// accept measures how many events are kept that so many raise: one subscriber is away, so
// that they have to be.
func accept(t task) (result, error) {
	var r result
	n, err := onDisk(t.Dir, []evid.Transport{stubTransport{}})
	if err != nil {
		return r, err
	}
	defer n.close()
	if err := n.events.Subscribe(event, "stub:0", time.Hour); err != nil {
		return r, err
	}
	return r, t.count(&r, t.Events, func() error { return n.raise(event) })
}

// A sinkhole is a Deliverer that takes events as fast as it gets them, and does nothing
// with them. Few goroutines serve all subscribers.
type sinkhole struct {
	work  chan *queue.Cursor
	taken atomic.Int64
	group sync.WaitGroup
}

func newSinkhole(subscribers int) *sinkhole {
	s := &sinkhole{work: make(chan *queue.Cursor, 2*subscribers)}
	for range 2 {
		s.group.Go(s.serve)
	}
	return s
}

// Attach implements [queue.Deliverer].
func (s *sinkhole) Attach(*queue.Cursor, *evid.Subscription) queue.Reader { return idleReader{} }

// Wake implements [queue.Deliverer].
func (s *sinkhole) Wake(cursors []*queue.Cursor) (kept bool) {
	for _, c := range cursors {
		s.work <- c
	}
	return false
}

func (s *sinkhole) serve() {
	events := make([]*evid.Event, queue.MaxBatch)
	outcomes := make([]queue.Outcome, queue.MaxBatch)
	for i := range outcomes {
		outcomes[i].Fate = queue.Delivered
	}
	for c := range s.work {
		n := c.Next(events).Events
		if n == 0 {
			continue
		}
		s.taken.Add(int64(n))
		if c.Done(events[:n], outcomes[:n]) != queue.Nothing {
			s.work <- c
		}
	}
}

func (s *sinkhole) close() {
	close(s.work)
	s.group.Wait()
}

type idleReader struct{}

// Renew implements [queue.Reader].
func (idleReader) Renew(*evid.Subscription) {}

// Discard implements [queue.Reader].
func (idleReader) Discard() {}

func (idleReader) Reads() {}

// Detach implements [queue.Reader].
func (idleReader) Detach() {}

// Report implements [queue.Reader].
func (idleReader) Report(*evid.Status) {}

// A bareQueue is a queue on disk with nothing above it.
type bareQueue struct {
	*queue.Queue
	store *countingStore
	sink  *sinkhole
}

// openBare opens a queue of which so many are subscribed to an event.
func openBare(dir string, subscribers int) (*bareQueue, error) {
	store, err := openStore(dir)
	if err != nil {
		return nil, err
	}
	b := &bareQueue{store: &countingStore{Store: store}, sink: newSinkhole(subscribers)}
	if b.Queue, err = queue.Open(queue.DefaultParams(), b.sink, b.store, errorLog()); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return b, nil
}

// subscribe subscribes so many, all at once so that they share the writing.
func (b *bareQueue) subscribe(event string, subscribers int) error {
	var group errgroup.Group
	group.SetLimit(manyRaisers)
	for i := range subscribers {
		group.Go(func() error {
			return b.OpenSub(&evid.Subscription{Event: event, Socket: stubSocket(fmt.Sprint(i)), Expire: evid.Never})
		})
	}
	return group.Wait()
}

func (b *bareQueue) raise(event string) error {
	kept, err := b.Accept(context.Background(), &evid.Event{Name: event, Params: []evid.Param{evid.String("ip", "192.168.2.11")}})
	if err == nil && !kept {
		err = evid.ErrNoSubscribers
	}
	return err
}

func (b *bareQueue) close() error {
	err := errors.Join(b.Close(), b.store.Close())
	b.sink.close()
	return err
}

// A countingStore counts the bytes of what is written about subscribers.
type countingStore struct {
	queue.Store
	state atomic.Int64
}

// Append implements [queue.Store].
func (s *countingStore) Append(j queue.Journal, last uint64, entry []byte) (uint64, error) {
	if j == queue.StateLog {
		s.state.Add(int64(len(entry)))
	}
	return s.Store.Append(j, last, entry)
}

// handToMany measures how many events are accepted and handed to 1,000 subscribers.
func handToMany(t task) (result, error) {
	const subscribers = 1000
	var r result
	b, err := openBare(t.Dir, subscribers)
	if err != nil {
		return r, err
	}
	if err := b.subscribe(event, subscribers); err != nil {
		return r, err
	}
	began := b.sink.taken.Load()
	err = t.count(&r, manyRaisers, func() error { return b.raise(event) })
	if err != nil {
		return r, err
	}
	raised := b.Totals().Accepted / subscribers
	for b.Totals().Waiting > 0 {
		time.Sleep(time.Millisecond)
	}
	if handed := uint64(b.sink.taken.Load() - began); handed != raised*subscribers {
		return r, fmt.Errorf("hand out: expected %d events, got %d: %+v", raised*subscribers, handed, b.Totals())
	}
	return r, b.close()
}

// besideIdle measures what is written about subscribers.
func besideIdle(t task) (result, error) {
	var r result
	b, err := openBare(t.Dir, manyCount)
	if err != nil {
		return r, err
	}
	if err := errors.Join(b.subscribe("E_IDLE", manyCount), b.subscribe(event, 1)); err != nil {
		return r, err
	}
	var raised atomic.Int64
	began := time.Now()
	m, err := startMeter()
	if err != nil {
		return r, err
	}
	before := b.store.state.Load()
	var group errgroup.Group
	for range manyRaisers {
		group.Go(func() error {
			for time.Since(began) < 4*t.For {
				if float64(raised.Add(1)) > t.Rate*time.Since(began).Seconds() {
					time.Sleep(time.Millisecond)
					raised.Add(-1)
					continue
				}
				if err := b.raise(event); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return r, err
	}
	r.Bytes = float64(b.store.state.Load()-before) / time.Since(began).Seconds()
	if err := m.stop(raised.Load(), &r); err != nil {
		return r, err
	}
	if r.Rate < 0.8*t.Rate {
		return r, fmt.Errorf("raise: expected %.0f events/s, got %.0f", t.Rate, r.Rate)
	}
	return r, b.close()
}

// restart measures how long subscribers take to be there again.
func restart(t task) (result, error) {
	var r result
	b, err := openBare(t.Dir, manyCount)
	if err != nil {
		return r, err
	}
	if err := errors.Join(b.subscribe("E_IDLE", manyCount), b.close()); err != nil {
		return r, err
	}
	began := time.Now()
	n, err := onDisk(t.Dir, []evid.Transport{stubTransport{}})
	if err != nil {
		return r, err
	}
	defer n.close()
	restored, failed := n.events.Restore()
	r.Start = time.Since(began)
	if restored != manyCount || failed != nil {
		return r, fmt.Errorf("restore subscriptions: expected %d, got %d and %d failed", manyCount, restored, len(failed))
	}
	return r, nil
}

// away raises events while a subscriber takes none, and then lets it have them.
func away(t task) (result, error) {
	var r result
	n, err := onDisk(t.Dir, []evid.Transport{stubTransport{holds: true}})
	if err != nil {
		return r, err
	}
	if err := n.events.Subscribe(event, "stub:0", time.Hour); err != nil {
		return r, err
	}
	before, err := resident()
	if err != nil {
		return r, err
	}
	m, err := startMeter()
	if err != nil {
		return r, err
	}
	var left atomic.Int64
	left.Store(int64(t.Events))
	var group errgroup.Group
	for range manyRaisers {
		group.Go(func() error {
			for left.Add(-1) >= 0 {
				if err := n.raise(event); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return r, err
	}
	if err := m.stop(int64(t.Events), &r); err != nil {
		return r, err
	}
	peak, err := peakResident()
	if err != nil {
		return r, err
	}
	r.Memory = float64(peak-before) / 1e6
	n.close()
	return r, restartAway(t, &r)
}

// restartAway starts another notifier, and measures how long the first event takes, and
// then all.
func restartAway(t task, r *result) error {
	began := time.Now()
	gauge := newGauge()
	gauge.expect(1)
	again, err := onDisk(t.Dir, []evid.Transport{gauge.wrap(stubTransport{})})
	if err != nil {
		return err
	}
	defer again.close()
	again.events.Restore()
	const patience = time.Minute
	if err := gauge.await(patience); err != nil {
		return err
	}
	r.Start = time.Since(began)
	for again.queue.Totals().Waiting > 0 && time.Since(began) < patience {
		time.Sleep(time.Millisecond)
	}
	r.Cold = time.Since(began)
	if counts := again.queue.Totals(); counts.Delivered != uint64(t.Events) {
		return fmt.Errorf("hand out: expected %d events, got %+v", t.Events, counts)
	}
	return nil
}
