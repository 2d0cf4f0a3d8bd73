package crash_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	miRaisers = 6
	churners  = 4
	drainTime = 2 * time.Minute
)

// evid is killed while programs raise over MI.
func TestKillMI(t *testing.T) {
	s := newStorm(t)
	var counts [miRaisers]int64
	s.run(func(instance int, _ bool) *process {
		return startEvid(t, config(s.dir, instance, ""))
	}, func(p *process) {
		<-p.ready
		url := p.address()
		if url == "" {
			return // killed before it was ready
		}
		var raising sync.WaitGroup
		for i := range counts {
			raising.Go(func() { s.raiseMI(url, int64(i), &counts[i]) })
		}
		raising.Wait()
	})
}

// A program is killed that has evid inside and raises through the Go API.
func TestKillAPI(t *testing.T) {
	s := newStorm(t)
	var acks *bufio.Scanner
	s.run(func(instance int, raises bool) *process {
		text := config(s.dir, instance, "")
		if !raises {
			return startEvid(t, text)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childConfig+"="+writeConfig(t, text), fmt.Sprintf("%s=%d", childFirst, (instance+1)*1_000_000))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		acks = bufio.NewScanner(out)
		return start(t, cmd)
	}, func(*process) {
		for acks.Scan() {
			var event string
			var k key
			if _, err := fmt.Sscan(acks.Text(), &event, &k.raiser, &k.n); err != nil {
				t.Errorf("read %q: %v", acks.Text(), err)
			}
			s.acked[event][k] = raise{}
		}
	})
}

// run kills as often as wanted. startOne starts a process, which may raise by itself;
// raise raises, or reads what was raised, until it is killed.
func (s *storm) run(startOne func(instance int, raises bool) *process, raise func(*process)) {
	p := startOne(0, false)
	p.waitReady()
	s.subscribeAll(p)
	p.kill()
	s.killed(p, 0)
	var churning []*subscriber
	for i := range churners {
		churning = append(churning, &subscriber{event: eventName(int64(i)), method: fmt.Sprintf("churner%d", i), at: []*receiver{s.fast, s.slow}[i%2]})
	}
	s.subs = append(s.subs, churning...)
	instance := 1
	for ; instance <= *rounds; instance++ {
		s.round(instance, startOne, raise, churning)
		if s.Failed() {
			s.FailNow()
		}
	}
	if s.flaky.server == nil {
		s.flaky.up()
	}
	p = startOne(instance, false)
	p.waitReady()
	p.settled(drainTime)
	s.kills = append(s.kills, time.Now())
	s.check(p)
	s.stopTwice(p, func() *process { return startOne(instance+1, false) })
}

// round starts a process and kills it.
func (s *storm) round(instance int, startOne func(int, bool) *process, raise func(*process), churning []*subscriber) {
	if s.flaky.server == nil && instance%5 == 4 {
		s.flaky.up()
	}
	p := startOne(instance, true)
	if instance%4 == 3 {
		s.killLater(p, true)
		raise(p)
		s.killed(p, instance)
		return
	}
	p.waitReady()
	p.statistics()
	s.killLater(p, false)
	var busy sync.WaitGroup
	busy.Go(func() { raise(p) })
	churnSeed := s.rand.Uint64()
	busy.Go(func() { s.churn(p, instance, churning, churnSeed) })
	if instance%5 == 2 {
		busy.Go(s.flaky.down)
	}
	if instance%5 == 0 {
		late := &subscriber{event: eventName(int64(instance / 5)), method: fmt.Sprintf("late%d", instance), at: s.fast, stays: true}
		if err := late.change(p, instance, true); err == nil {
			s.subs = append(s.subs, late)
		} else if !isDown(err) {
			s.Error(err)
		}
	}
	busy.Wait()
	s.killed(p, instance)
}

// stopTwice stops in an orderly way and starts again: nobody gets anything any more.
func (s *storm) stopTwice(p *process, again func() *process) {
	s.Helper()
	before := p.statistics()
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.wait()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		s.Errorf("exit code %d:\n%s", code, p.text())
	}
	arrived := s.fast.total() + s.slow.total() + s.picky.total() + s.flaky.total()
	p = again()
	p.waitReady()
	after := p.settled(drainTime)
	for _, name := range []string{"accepted", "delivered", "dead", "dropped", "abandoned"} {
		if name = "evi:" + name; before[name] != after[name] {
			s.Errorf("%s was %d and is %d after a stop", name, before[name], after[name])
		}
	}
	if now := s.fast.total() + s.slow.total() + s.picky.total() + s.flaky.total(); now != arrived {
		s.Errorf("%d events came again after a stop", now-arrived)
	}
	p.kill()
}
