package crash_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/evid/evid/internal/miclient"
)

// A storm is evid killed again and again, with raisers and subscribers around it.
type storm struct {
	*testing.T
	rand *rand.Rand
	dir  string

	fast, slow, picky, flaky *receiver
	subs                     []*subscriber

	mu    sync.Mutex
	acked map[string]map[key]raise

	kills []time.Time // by instance
}

// A raise was acknowledged.
type raise struct{ begun, acked time.Time } // unknown if it was through the Go API

// A subscriber is what somebody has subscribed.
type subscriber struct {
	event, method, options string
	at                     *receiver

	mu         sync.Mutex
	stays      bool // it is never unsubscribed
	subscribed time.Time
	// Of the last change that was acknowledged. After one that was not, nothing is known.
	open, known bool
	instance    int // which has acknowledged it
}

func newStorm(t *testing.T) *storm {
	t.Helper()
	n := *seed
	if n == 0 {
		n = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", n)
	s := &storm{T: t, rand: rand.New(rand.NewPCG(n, 1)), dir: t.TempDir(), acked: make(map[string]map[key]raise)}
	s.fast = newReceiver(t, &receiver{})
	s.slow = newReceiver(t, &receiver{delay: 2 * time.Millisecond})
	s.picky = newReceiver(t, &receiver{refuses: 0.01, retries: 0.005, rand: rand.New(rand.NewPCG(n, 2))})
	s.flaky = newReceiver(t, &receiver{})
	const soon = ";retry_min=10;retry_max=200"
	for _, event := range events {
		s.acked[event] = make(map[key]raise)
		s.subs = append(s.subs,
			&subscriber{event: event, method: event + ".fast", at: s.fast, stays: true},
			&subscriber{event: event, method: event + ".other", at: s.fast, options: ";lane=own", stays: true},
			&subscriber{event: event, method: event + ".slow", at: s.slow, options: ";connections=4", stays: true},
			&subscriber{event: event, method: event + ".picky", at: s.picky, options: ";max_attempts=2" + soon, stays: true},
			&subscriber{event: event, method: event + ".flaky", at: s.flaky, options: soon, stays: true},
		)
	}
	return s
}

// subscribe subscribes, or unsubscribes.
func (s *subscriber) change(p *process, instance int, open bool) error {
	command, params := "event_unsubscribe", []any{s.event, s.at.socket(s.method, s.options)}
	if open {
		command, params = "event_subscribe", append(params, "never")
	}
	s.mu.Lock()
	s.known = false
	s.mu.Unlock()
	if _, err := p.try(command, params); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if open && s.subscribed.IsZero() {
		s.subscribed = time.Now()
	}
	s.open, s.known, s.instance = open, true, instance
	return nil
}

// killLater kills a process at a random moment, and sometimes before it is ready.
func (s *storm) killLater(p *process, early bool) {
	longest := *longestRound
	if early {
		longest = 300 * time.Millisecond
	}
	time.AfterFunc(time.Duration(s.rand.Int64N(int64(longest))), func() { p.cmd.Process.Kill() })
}

// killed notes that a process has been killed.
func (s *storm) killed(p *process, instance int) {
	s.Helper()
	p.wait()
	for len(s.kills) <= instance {
		s.kills = append(s.kills, time.Time{})
	}
	s.kills[instance] = time.Now()
}

// isDown tells errors of a process that is killed from others.
func isDown(err error) bool {
	var refusal *miclient.Error
	return err != nil && !errors.As(err, &refusal)
}

// subscribeAll subscribes those that stay.
func (s *storm) subscribeAll(p *process) {
	s.Helper()
	for _, sub := range s.subs {
		if err := sub.change(p, 0, true); err != nil {
			s.Fatal(err)
		}
	}
}

// churn subscribes and unsubscribes until the process is killed.
func (s *storm) churn(p *process, instance int, subs []*subscriber, seed uint64) {
	rand := rand.New(rand.NewPCG(seed, 3))
	for {
		sub := subs[rand.IntN(len(subs))]
		if err := sub.change(p, instance, rand.IntN(2) == 0); isDown(err) {
			return
		} else if err != nil {
			s.Error(err)
			return
		}
	}
}

// raiseMI raises over one connection until the process is killed, counting from n on.
func (s *storm) raiseMI(url string, raiser int64, n *int64) {
	s.raise(url, func() (string, key) {
		*n++
		return eventName(raiser + *n), key{raiser, *n}
	})
}

// raiseNamed raises one event.
func (s *storm) raiseNamed(url, event string, n *int64) {
	s.raise(url, func() (string, key) {
		*n++
		return event, key{0, *n}
	})
}

func (s *storm) raise(url string, next func() (string, key)) {
	client := &http.Client{Transport: new(http.Transport)}
	defer client.CloseIdleConnections()
	for {
		event, k := next()
		r := raise{begun: time.Now()}
		ok, err := raiseOnce(client, url, event, k)
		if err != nil {
			s.Errorf("raise %s: %v", event, err)
		}
		if !ok {
			return
		}
		r.acked = time.Now()
		s.mu.Lock()
		s.acked[event][k] = r
		s.mu.Unlock()
	}
}

// raiseOnce reports whether an OK came, all of it. An error is a refusal.
func raiseOnce(client *http.Client, url, event string, k key) (ok bool, err error) {
	body := fmt.Appendf(nil, `{"jsonrpc":"2.0","method":"raise_event","params":{"event":"%s","params":{"r":%d,"n":%d}},"id":%d}`, event, k.raiser, k.n, k.n)
	reply, err := client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return false, nil //nolint:nilerr // it is killed
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		return false, nil //nolint:nilerr // so it is
	}
	var result struct{ Result string }
	if err := json.Unmarshal(text, &result); err != nil || result.Result != "OK" {
		return false, fmt.Errorf("expected OK, got %s", text)
	}
	return true, nil
}

// check checks what all have got. Nothing waits any more.
func (s *storm) check(p *process) {
	s.Helper()
	ids := make(map[string]arrival)
	byEvent := make(map[key]string)
	for _, r := range []*receiver{s.fast, s.slow, s.picky, s.flaky} {
		for _, arrivals := range r.arrivals {
			for _, a := range arrivals {
				if first, known := ids[a.id]; known && (first.key != a.key || first.event != a.event) || a.id == "" {
					s.Errorf("id %q is of %s %v and of %s %v", a.id, first.event, first.key, a.event, a.key)
				}
				ids[a.id] = a
				if id, known := byEvent[a.key]; known && id != a.id {
					s.Errorf("%s %v has the ids %s and %s", a.event, a.key, id, a.id)
				}
				byEvent[a.key] = a.id
			}
		}
	}
	var dups duplicates
	for _, event := range events {
		s.checkEvent(p, event, &dups)
	}
	s.Logf("%d raises acknowledged, %d events, %d came again, the oldest of them %v before a kill", s.ackedCount(), len(byEvent), dups.count, dups.oldest)
}

func (s *storm) ackedCount() (n int) {
	for _, acked := range s.acked {
		n += len(acked)
	}
	return n
}

// checkEvent checks the subscribers of one name.
func (s *storm) checkEvent(p *process, event string, dups *duplicates) {
	s.Helper()
	status := make(map[string]subscriberStatus)
	for _, one := range p.subscribers(event) {
		status[one.Socket] = one
	}
	var all []key // in order
	place := make(map[key]int)
	for _, sub := range s.subs {
		if sub.event != event {
			continue
		}
		arrivals := sub.at.of(sub.method)
		first := firsts(arrivals)
		dups.check(s, sub, arrivals)
		if !sub.stays {
			s.checkChurner(sub, arrivals)
			continue
		}
		if all == nil {
			all = first
			for i, k := range all {
				place[k] = i
			}
			s.checkRaisers(sub, all)
		}
		// Who subscribed before all was raised got the same; who came later the end of it.
		if tail := all[max(0, len(all)-len(first)):]; !slices.Equal(first, tail) {
			s.Errorf("%s: got %d events, which are not the last of the %d that %s got, in their order", sub.method, len(first), len(all), event)
			s.explain(first, tail)
		}
		s.checkLost(sub, place, len(all)-len(first))
		socket := sub.at.socket(sub.method, sub.options)
		letters := p.letters(event, socket)
		s.checkLetters(sub, arrivals, letters)
		one, known := status[socket]
		if !known {
			s.Errorf("%s is not subscribed any more: %v", sub.method, status)
		}
		if one.Waiting != 0 || one.Delivered+uint64(len(letters)) != uint64(len(first)) {
			s.Errorf("%s: %+v and %d dead letters, it got %d events", sub.method, one, len(letters), len(first))
		}
	}
}

func (s *storm) explain(got, want []key) {
	s.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			s.Errorf("from %d on: %v, want %v", i, got[i:min(i+5, len(got))], want[i:min(i+5, len(want))])
			return
		}
	}
}

// firsts returns what came, without repetitions.
func firsts(arrivals []arrival) []key {
	var keys []key
	seen := make(map[key]bool)
	for _, a := range arrivals {
		if !seen[a.key] {
			seen[a.key] = true
			keys = append(keys, a.key)
		}
	}
	return keys
}

// checkRaisers checks that each raiser's events are in the order of its raises.
func (s *storm) checkRaisers(sub *subscriber, got []key) {
	s.Helper()
	newest := make(map[int64]int64)
	for _, k := range got {
		if k.n <= newest[k.raiser] {
			s.Errorf("%s: raiser %d: event %d came after %d", sub.method, k.raiser, k.n, newest[k.raiser])
		}
		newest[k.raiser] = k.n
	}
}

// checkLost checks that the subscriber got what was acknowledged after it had subscribed:
// it got all but the first events.
func (s *storm) checkLost(sub *subscriber, place map[key]int, missing int) {
	s.Helper()
	lost := 0
	for k, r := range s.acked[sub.event] {
		at, came := place[k]
		if late := r.begun.Before(sub.subscribed) && missing > 0; came && (at >= missing || late) {
			continue
		}
		if lost++; lost <= 5 {
			s.Errorf("%s: lost %v, acknowledged at %v", sub.method, k, r.acked)
		}
	}
	if lost > 0 {
		s.Errorf("%s: lost %d of %d", sub.method, lost, len(s.acked[sub.event]))
	}
}

// checkLetters checks that what was refused and not taken later is a dead letter, and
// nothing else is.
func (s *storm) checkLetters(sub *subscriber, arrivals []arrival, letters map[key]int) {
	s.Helper()
	var got [again + 1]map[key]bool
	for i := range got {
		got[i] = make(map[key]bool)
	}
	for _, a := range arrivals {
		got[a.answer][a.key] = true
	}
	for k := range got[refused] {
		if letters[k] == 0 && !got[taken][k] {
			s.Errorf("%s: %v was refused and is no dead letter", sub.method, k)
		}
	}
	for k, n := range letters {
		if n > 1 || !got[refused][k] && !got[again][k] {
			s.Errorf("%s: %v is %d dead letters, refused: %t", sub.method, k, n, got[refused][k])
		}
	}
}

// checkChurner checks that who has unsubscribed gets nothing from later processes.
func (s *storm) checkChurner(sub *subscriber, arrivals []arrival) {
	s.Helper()
	for _, a := range arrivals {
		if sub.known && !sub.open && a.instance > sub.instance {
			s.Errorf("%s unsubscribed from instance %d, and got %v from %d", sub.method, sub.instance, a.key, a.instance)
			return
		}
	}
}

// oldest is how long before a kill an event may have been delivered that comes again:
// saves are 100 ms apart, but on a machine with more to do than it can a save takes its
// time as well, and so does a receiver until it notes what came.
const oldest = time.Second

// duplicates are events that came to a subscriber again.
type duplicates struct {
	count  int
	oldest time.Duration
}

// check checks that there are reasons for them.
func (d *duplicates) check(s *storm, sub *subscriber, arrivals []arrival) {
	s.Helper()
	last := make(map[key]arrival)
	for _, a := range arrivals {
		before, known := last[a.key]
		last[a.key] = a
		if !known || before.answer == again || sub.at.wentDown(before.at, a.at) {
			continue
		}
		if a.instance <= before.instance {
			s.Errorf("%s got %v twice from instance %d: at %v and %v, the first answered %d", sub.method, a.key, a.instance, before.at, a.at, before.answer)
			continue
		}
		age := s.kills[before.instance].Sub(before.at)
		d.count++
		d.oldest = max(d.oldest, age)
		if age > oldest {
			s.Errorf("%s got %v from instance %d, %v before that was killed, and again from %d", sub.method, a.key, before.instance, age, a.instance)
		}
	}
}

// wentDown reports whether an answer may have been lost because the receiver went down.
func (r *receiver) wentDown(from, to time.Time) bool {
	const onTheWay = time.Second
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.downs, func(down time.Time) bool { return down.Sub(from).Abs() < onTheWay && down.Before(to) })
}
