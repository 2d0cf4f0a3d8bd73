package delivery_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/delivery"
	"github.com/evid/evid/queue"
)

// A network is a transport whose sockets are "net:HOST/METHOD[;option]". A
// method says how the subscriber behaves; an option names a lane of its own.
type network struct {
	mu      sync.Mutex
	lanes   []*netLane
	calls   []string                                // what was delivered: host/method=value
	answers map[string]func(*evid.Item) evid.Result // by host or host/method: what comes of an item, but for closing
	whole   bool                                    // a call takes all of a batch
	special bool                                    // lanes that are idle should be kept
	policy  func(*evid.Policy)                      // changes that of all sockets; nil: the default
}

type netSocket struct {
	network              *network
	host, method, option string
}

func (s *netSocket) Policy() evid.Policy {
	p := evid.DefaultPolicy()
	p.Sync = s.option == "sync"
	p.OwnLane = s.option == "own"
	if s.network.policy != nil {
		s.network.policy(&p)
	}
	return p
}

func (s *netSocket) Key() string    { return "net:" + s.host + "/" + s.method }
func (s *netSocket) String() string { return s.Key() }

func (n *network) Scheme() string { return "net" }

func (n *network) Parse(addr string) (evid.Socket, error) {
	addr, option, _ := strings.Cut(addr, ";")
	host, method, _ := strings.Cut(addr, "/")
	return &netSocket{n, host, method, option}, nil
}

func (n *network) Lane(s evid.Socket) string { return s.(*netSocket).host }

// answer sets what comes of the items for a host or a host/method; nil: they are
// delivered.
func (n *network) answer(to string, answer func(*evid.Item) evid.Result) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.answers == nil {
		n.answers = make(map[string]func(*evid.Item) evid.Result)
	}
	n.answers[to] = answer
}

func (n *network) answerTo(s *netSocket) func(*evid.Item) evid.Result {
	n.mu.Lock()
	defer n.mu.Unlock()
	if f := n.answers[s.host]; f != nil {
		return f
	}
	return n.answers[s.host+"/"+s.method]
}

func (n *network) Open(s evid.Socket) evid.Lane {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &netLane{network: n, closed: make(chan struct{})}
	n.lanes = append(n.lanes, l)
	if host := s.(*netSocket).host; host[len(host)-1]%2 == 0 { // half of them
		return suspendingLane{l}
	}
	return l
}

// opened and open count the lanes that were ever opened and those not closed.
func (n *network) opened() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.lanes)
}

func (n *network) open() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	open := 0
	for _, l := range n.lanes {
		select {
		case <-l.closed:
		default:
			open++
		}
	}
	return open
}

func (n *network) delivered() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.calls, " ")
}

type netLane struct {
	network *network
	busy    sync.Mutex // held by Deliver: only one goroutine may call it
	once    sync.Once
	closed  chan struct{}
	idled   int
}

const silence = 5 * time.Second // how long a silent subscriber takes

func (l *netLane) Deliver(batch []evid.Item) {
	if !l.busy.TryLock() {
		panic("two goroutines deliver over one lane")
	}
	defer l.busy.Unlock()
	if l.network.whole {
		for i := range batch {
			l.call(&batch[i])
		}
		return
	}
	l.call(&batch[0])
}

// A suspendingLane is one that suspends who calls it.
type suspendingLane struct{ evid.Lane }

func (l suspendingLane) DeliverTask(task evid.Task, batch []evid.Item) {
	task.Suspend(func() {
		go func() {
			l.Deliver(batch)
			began := time.Now()
			task.Resume()
			if blocked := time.Since(began); blocked > 0 { // by the clock of a bubble
				panic(fmt.Sprintf("a task that was resumed has kept others waiting for %v", blocked))
			}
		}()
	})
}

func (l *netLane) call(item *evid.Item) {
	s := item.Socket.(*netSocket)
	if answer := l.network.answerTo(s); answer != nil {
		item.Result = answer(item)
		if item.Result.Verdict == evid.Delivered {
			l.deliver(item, s)
		}
		return
	}
	failure := func(v evid.Verdict, detail string) { item.Result = evid.Result{Verdict: v, Detail: detail} }
	switch method, _, _ := strings.Cut(s.method, "-"); method {
	case "silent":
		select {
		case <-time.After(silence):
			item.Result = evid.Result{Verdict: evid.Retry, Blame: evid.TheSubscriber, Sent: true, Detail: "no reply"}
		case <-l.closed:
		}
	case "slow":
		select {
		case <-time.After(time.Second):
			l.deliver(item, s)
		case <-l.closed:
		}
	case "gone":
		failure(evid.Gone, "no such user")
	case "refuses":
		failure(evid.Rejected, "refused")
	case "moody": // refuses odd values, and says so differently each time
		if n := item.Event.Params[0].Int; n%2 == 1 {
			failure(evid.Rejected, fmt.Sprint("odd ", n))
			return
		}
		l.deliver(item, s)
	case "wordy": // refuses, and says so differently each time
		failure(evid.Rejected, fmt.Sprint("no ", item.Event.Params[0].Int))
	default:
		l.deliver(item, s)
	}
}

func (l *netLane) deliver(item *evid.Item, s *netSocket) {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	l.network.calls = append(l.network.calls, fmt.Sprintf("%s/%s=%s", s.host, s.method, item.Event.Params[0].Text()))
	item.Result = evid.Result{Verdict: evid.Delivered, Answered: true}
}

func (l *netLane) Idle() (keep bool) {
	l.idled++
	return l.network.special
}

func (l *netLane) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

type fixture struct {
	*testing.T
	*evid.Interface
	network *network
	queue   *queue.Queue
	engine  *delivery.Engine
	log     bytes.Buffer
	raised  int64
	notices []string // what the engine raised
}

// inBubble runs a test under a clock of its own. Nothing of the engine may run
// on at its end.
func inBubble(t *testing.T, test func(f *fixture)) {
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{T: t, network: &network{special: true}}
		log := slog.New(slog.NewTextHandler(&f.log, nil))
		f.engine = delivery.New(delivery.Options{Log: log, Raise: f.notice})
		f.queue = queue.New(queue.DefaultParams(), f.engine)
		f.Interface = evid.New(evid.Options{Keeper: f.queue, Transports: []evid.Transport{f.network}, AutoRegister: true})
		test(f)
		f.Close()
		f.queue.Refuse()
		f.engine.Close()
		f.queue.Close()
		if open := f.network.open(); open != 0 {
			t.Errorf("%d lanes are still open", open)
		}
	})
}

// notice notes an event about a subscriber: its name without E_EVID, what it is
// about, and of the rest what is not empty.
func (f *fixture) notice(_ context.Context, event string, params ...evid.Param) (evid.ID, error) {
	text := strings.TrimPrefix(event, "E_EVID_")
	for _, p := range params[:len(params)-2] {
		text += " " + p.Text()
	}
	f.network.mu.Lock()
	defer f.network.mu.Unlock()
	f.notices = append(f.notices, text)
	return evid.ID{}, nil
}

// wantNotices compares what was raised since it was last called.
func (f *fixture) wantNotices(want ...string) {
	f.Helper()
	synctest.Wait()
	f.network.mu.Lock()
	defer f.network.mu.Unlock()
	if !slices.Equal(f.notices, want) {
		f.Errorf("raised %q, want %q", f.notices, want)
	}
	f.notices = nil
}

func (f *fixture) subscribe(event string, sockets ...string) {
	f.Helper()
	for _, socket := range sockets {
		if err := f.Subscribe(event, "net:"+socket, evid.Never); err != nil {
			f.Fatal(err)
		}
	}
}

// raise raises an event with the next number.
func (f *fixture) raise(event string) {
	f.Helper()
	f.raised++
	if _, err := f.Raise(context.Background(), event, evid.Int("", f.raised)); err != nil {
		f.Fatal(err)
	}
}

// wantDelivered compares what was delivered, in any order of the destinations.
func (f *fixture) wantDelivered(want ...string) {
	f.Helper()
	synctest.Wait()
	got := strings.Fields(f.network.delivered())
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		f.Errorf("delivered %v, want %v", got, want)
	}
}

func (f *fixture) wantCounts(want evid.Counts) {
	f.Helper()
	synctest.Wait()
	if got := f.queue.Totals(); got != want {
		f.Errorf("counts %+v, want %+v", got, want)
	}
}
