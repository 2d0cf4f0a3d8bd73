package daemon

import (
	"bytes"
	"context"
	"sync"
	"testing"
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
