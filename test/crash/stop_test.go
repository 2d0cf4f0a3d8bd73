package crash_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/daemon"
)

// stopTime is what a stop may take, whatever subscribers do.
const stopTime = 5 * time.Second

// stop sends SIGTERM and returns how long it took to the end.
func (p *process) stop() time.Duration {
	p.t.Helper()
	took := p.end()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		p.t.Errorf("exit code %d:\n%s", code, p.text())
	}
	return took
}

// end tells the process to stop, and waits until it has.
func (p *process) end() time.Duration {
	p.t.Helper()
	began := time.Now()
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.wait()
	return time.Since(began)
}

// silent is a server that takes calls and never answers.
func silent(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
		}
	}()
	return l.Addr().String()
}

// A stop takes no more than its time, and nothing that was delivered before it comes
// again after it.
func TestStop(t *testing.T) {
	dir := t.TempDir()
	fast := newReceiver(t, &receiver{})
	slow := newReceiver(t, &receiver{delay: 50 * time.Millisecond})
	picky := newReceiver(t, &receiver{refuses: 0.3, retries: 0.3})
	p := startEvid(t, config(dir, 0, ""))
	p.waitReady()
	for _, socket := range []string{
		fast.socket("fast", ""), slow.socket("slow", ";multicall=0"), picky.socket("picky", ";multicall=0"),
		"xmlrpc:" + silent(t) + ":silent", "xmlrpc:127.0.0.1:1:refused",
	} {
		p.call("event_subscribe", []any{"E_0", socket, "never"})
	}
	const raises = 100
	var raising sync.WaitGroup
	for raiser := range 4 {
		raising.Go(func() {
			for n := range raises / 4 {
				p.call("raise_event", map[string]any{"event": "E_0", "params": map[string]any{"r": raiser, "n": n}})
			}
		})
	}
	raising.Wait()
	if took := p.stop(); took > stopTime {
		t.Errorf("stopped after %v", took)
	}
	p = startEvid(t, config(dir, 1, ""), "--drain", "1m")
	p.waitReady()
	// Those that answer get the rest.
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); len(firsts(slow.of("slow"))) < raises || len(fast.of("fast")) < raises; <-tick.C {
		if time.Since(began) > drainTime {
			t.Fatalf("slow got %d and fast %d of %d", len(firsts(slow.of("slow"))), len(fast.of("fast")), raises)
		}
	}
	p.statistics()
	p.cmd.Process.Signal(syscall.SIGTERM)
	for began := time.Now(); time.Since(began) < stopTime; { // it is at it once MI refuses
		if _, err := p.try("raise_event", []any{"E_1"}); isDown(err) {
			break
		}
	}
	if took := p.end(); took > stopTime { // a request to MI may have been cut short: then the exit code is 1
		t.Errorf("stopped %v after a second signal", took)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 && !strings.Contains(p.text(), "requests were cut short") {
		t.Errorf("exit code %d:\n%s", code, p.text())
	}
	for _, r := range []*receiver{fast, slow, picky} {
		for method, arrivals := range r.arrivals {
			checkOnce(t, method, arrivals)
		}
	}
}

// checkOnce checks that what came before a stop does not come again after it, but for the
// last: the stop may have cut that call short, before there was a reply.
func checkOnce(t *testing.T, method string, arrivals []arrival) {
	t.Helper()
	last := make(map[key]int)
	for i, a := range arrivals {
		before, known := last[a.key]
		last[a.key] = i
		if !known || arrivals[before].answer == again {
			continue
		}
		if cut := arrivals[before].instance < arrivals[before+1].instance; !cut {
			t.Errorf("%s got %v again from instance %d", method, a.key, a.instance)
		}
	}
}

// A second evid with the same directory is told so.
func TestSecond(t *testing.T) {
	dir := t.TempDir()
	p := startEvid(t, config(dir, 0, ""))
	p.waitReady()
	second := startEvid(t, config(dir, 1, ""))
	<-second.read
	second.cmd.Wait()
	want := fmt.Sprintf("another evid uses it (process %d)", p.cmd.Process.Pid)
	if code := second.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(second.text(), want) || !strings.Contains(second.text(), "hint: stop that one") {
		t.Errorf("exit code %d:\n%s\nwant %s", code, second.text(), want)
	}
	p.kill()
	third := startEvid(t, config(dir, 2, ""))
	third.waitReady()
	third.stop()
}

// Subscriptions expire while evid is down; what was raised before is delivered.
func TestExpireWhileDown(t *testing.T) {
	dir := t.TempDir()
	r := newReceiver(t, &receiver{})
	p := startEvid(t, config(dir, 0, ""))
	p.waitReady()
	r.down()
	p.call("event_subscribe", []any{"E_0", r.socket("short", ";retry_max=100;retry_min=10"), 1})
	expires := time.After(time.Second)
	p.call("event_subscribe", []any{"E_0", r.socket("long", ";retry_max=100;retry_min=10"), 600})
	p.call("raise_event", map[string]any{"event": "E_0", "params": map[string]any{"r": 1, "n": 1}})
	p.kill()
	<-expires
	r.up()
	p = startEvid(t, config(dir, 1, ""))
	p.waitReady()
	p.call("raise_event", map[string]any{"event": "E_0", "params": map[string]any{"r": 1, "n": 2}})
	p.settled(drainTime)
	if subs := p.subscribers("E_0"); len(subs) != 1 || !strings.HasPrefix(subs[0].Socket, r.socket("long", "")) {
		t.Errorf("subscribed: %v", subs)
	}
	if short, long := r.of("short"), r.of("long"); len(short) != 1 || len(long) != 2 {
		t.Errorf("short got %v, want the first; long %v, want both", short, long)
	}
	p.stop()
}

// With persist_subscribers=0 nobody is subscribed after a restart, and what waited is
// abandoned.
func TestForget(t *testing.T) {
	dir := t.TempDir()
	const forget = `modparam("queue", "persist_subscribers", 0)`
	p := startEvid(t, config(dir, 0, forget))
	p.waitReady()
	p.call("event_subscribe", []any{"E_0", "xmlrpc:127.0.0.1:1:m", "never"})
	p.call("raise_event", []any{"E_0"})
	p.kill()
	p = startEvid(t, config(dir, 1, forget))
	p.waitReady()
	if s := p.statistics(); s["evi:accepted"] != 1 || s["evi:abandoned"] != 1 || s["evi:subscribers"] != 0 || len(p.subscribers("E_0")) != 0 {
		t.Errorf("statistics: %v", s)
	}
	p.stop()
}

// What is raised without evid being told to stop is there at the next start; the first of
// very many events comes soon.
func TestStartWithBacklog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queue")
	r := newReceiver(t, &receiver{})
	r.down()
	backlog(t, dir, r.socket("m", ""))
	r.up()
	began := time.Now()
	p := startEvid(t, config(dir, 1, ""))
	p.waitReady()
	ready := time.Since(began)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for r.total() == 0 {
		if <-tick.C; time.Since(began) > startTime {
			t.Fatal("nothing is delivered")
		}
	}
	first := r.of("m")[0].at.Sub(began)
	t.Logf("%d events wait: MI after %v, the first delivery after %v", *waiting, ready, first)
	if first > 10*time.Second {
		t.Errorf("the first delivery comes after %v", first)
	}
	if took := p.stop(); took > stopTime {
		t.Errorf("stopped after %v", took)
	}
}

// backlog raises events through the Go API for somebody who is not there.
func backlog(t *testing.T, dir, socket string) {
	t.Helper()
	d, err := daemon.New(daemon.Options{Config: config(dir, 0, `modparam("queue", "sync", "never")`), Stderr: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := d.Events().Subscribe("E_0", socket, evid.Never); err != nil {
		t.Fatal(err)
	}
	const raisers = 256
	var raising sync.WaitGroup
	for raiser := range int64(raisers) {
		raising.Go(func() {
			for n := range int64(*waiting / raisers) {
				if _, err := d.Events().Raise(context.Background(), "E_0", evid.Int("r", raiser), evid.Int("n", n), evid.String("ip", "192.168.2.11")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	raising.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := d.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

// Very many subscriptions are restored.
func TestStartWithSubscribers(t *testing.T) {
	dir := t.TempDir()
	d, err := daemon.New(daemon.Options{Config: config(dir, 0, ""), Stderr: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	var subscribing sync.WaitGroup
	for part := range 100 {
		subscribing.Go(func() {
			for i := range *subscribers / 100 {
				if err := d.Events().Subscribe("E_0", fmt.Sprintf("xmlrpc:127.0.0.1:1:m%d.%d", part, i), evid.Never); err != nil {
					t.Error(err)
				}
			}
		})
	}
	subscribing.Wait()
	if err := d.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{t.TempDir(), dir} { // an empty one first
		began := time.Now()
		p := startEvid(t, config(path, 1, ""))
		p.waitReady()
		t.Logf("MI is ready after %v", time.Since(began))
		if s := p.statistics(); path == dir && s["evi:subscribers"] != uint64(*subscribers) {
			t.Errorf("%d subscribers are back, want %d", s["evi:subscribers"], *subscribers)
		}
		p.stop()
	}
}
