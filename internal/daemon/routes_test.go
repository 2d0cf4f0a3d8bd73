package daemon

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"github.com/evid/evid"
)

const memory = `modparam("queue", "mode", "memory")` + "\n"

// MI is there before the timers run, and until they have ended.
func TestReloadAtStartAndStop(t *testing.T) {
	var log bytes.Buffer
	d, err := New(Options{Config: testConfig + memory + "timer_route[t, 1] { raise_event(\"E_A\"); }\n", Stderr: &log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var reloading sync.WaitGroup
	begun := make(chan struct{})
	reloading.Go(func() {
		_ = d.ReloadRoutes(ctx)
		close(begun)
		for ctx.Err() == nil {
			_ = d.ReloadRoutes(ctx) // refused in the end
		}
	})
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-begun
	d.routes.stop()
	d.routes.startTimers()
	d.routes.timers.Wait() // nothing has begun
	cancel()
	reloading.Wait()
	if err := d.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// An event route that was unsubscribed, or given an expiry, by MI is the script's again
// with reload_routes.
func TestReloadSubscribesAgain(t *testing.T) {
	var log bytes.Buffer
	d, err := New(Options{Config: testConfig + memory + "event_route[E_A] {}\nevent_route[E_B, sync] {}\n", Stderr: &log})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer d.Stop(t.Context())
	if err := d.Events().Unsubscribe("E_A", "route:E_A"); err != nil {
		t.Fatal(err)
	}
	if err := d.Events().Subscribe("E_B", "route:E_B", 3600e9); err != nil {
		t.Fatal(err)
	}
	if err := d.ReloadRoutes(t.Context()); err != nil {
		t.Fatal(err)
	}
	for event, want := range map[string]string{"E_A": "route:E_A", "E_B": "route:E_B;sync_mode=1"} {
		subs := d.Events().Subscribers(event)
		if len(subs) != 1 || subs[0].Socket.String() != want || subs[0].Expire != evid.Never || !subs[0].Script {
			t.Errorf("%s: got %+v, want %s for good", event, subs, want)
		}
	}
}
