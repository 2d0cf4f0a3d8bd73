package crash_test

import (
	"encoding/json"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// evid is killed while dead letters are replayed and purged: each event is delivered in
// the end, or was purged; what was purged stays so.
func TestKillWithLetters(t *testing.T) {
	s := newStorm(t)
	picky := newReceiver(t, &receiver{refuses: 0.5, rand: rand.New(rand.NewPCG(s.rand.Uint64(), 4))})
	socket := picky.socket("m", "")
	tried := make(map[key]bool) // to purge them
	purged := make(map[key]bool)
	var raised int64
	for instance := range max(*rounds/2, 1) {
		p := startEvid(t, config(s.dir, instance, ""))
		p.waitReady()
		if instance == 0 {
			p.call("event_subscribe", []any{"E_0", socket, "never"})
		}
		for k := range p.letters("E_0", socket) {
			if purged[k] {
				t.Errorf("%v is a dead letter again, after it was purged", k)
			}
		}
		var busy sync.WaitGroup
		time.AfterFunc(time.Duration(s.rand.Int64N(int64(500*time.Millisecond))), func() { p.cmd.Process.Kill() })
		busy.Go(func() { s.raiseNamed(p.url, "E_0", &raised) })
		busy.Go(func() {
			for !isDown(second(p.try("dead_letter_replay", map[string]any{"event": "E_0"}))) {
			}
		})
		busy.Go(func() { purgeUntilKilled(p, tried, purged) })
		busy.Wait()
		p.kill()
	}
	picky.mu.Lock()
	picky.refuses = 0
	picky.mu.Unlock()
	p := startEvid(t, config(s.dir, *rounds, ""))
	p.waitReady()
	p.settled(drainTime)
	for k := range p.letters("E_0", socket) {
		if purged[k] {
			t.Errorf("%v is a dead letter again, after it was purged", k)
		}
	}
	p.call("dead_letter_replay", map[string]any{"event": "E_0"})
	p.until("evi:dead_letters", drainTime, func(n uint64) bool { return n == 0 })
	p.stop()
	got := make(map[key]bool)
	for _, a := range picky.of("m") {
		got[a.key] = got[a.key] || a.answer == taken
	}
	for k, r := range s.acked["E_0"] {
		if !got[k] && !tried[k] {
			t.Errorf("lost %v, acknowledged at %v", k, r.acked)
		}
	}
	t.Logf("%d raises acknowledged, %d dead letters purged", len(s.acked["E_0"]), len(purged))
}

func second(_ json.RawMessage, err error) error { return err }

// purgeUntilKilled purges one dead letter after the other.
func purgeUntilKilled(p *process, tried, purged map[key]bool) {
	for {
		text, err := p.try("dead_letters", map[string]any{"event": "E_0"})
		if isDown(err) {
			return
		}
		var page struct {
			Letters []struct {
				Number int
				Params []struct{ Value int64 }
			} `json:"Dead letters"`
		}
		if err := json.Unmarshal(text, &page); err != nil {
			p.t.Error(err)
			return
		}
		if len(page.Letters) == 0 {
			continue
		}
		l := page.Letters[len(page.Letters)/2]
		k := key{l.Params[0].Value, l.Params[1].Value}
		tried[k] = true
		_, err = p.try("dead_letter_purge", map[string]any{"letter": l.Number})
		if isDown(err) {
			return
		}
		if err == nil { // else it was replayed meanwhile
			purged[k] = true
		}
	}
}
