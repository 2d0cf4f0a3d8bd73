package daemon

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/evid/evid"
	"github.com/evid/evid/mi"
)

func started(t *testing.T, config string) *Daemon {
	t.Helper()
	d, err := New(Options{Config: config, Stderr: new(bytes.Buffer)})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func stopped(t *testing.T, d *Daemon) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// A subscription that the configuration has no transport for any more keeps what waits,
// and queue_status says why it is dormant.
func TestQueueStatus(t *testing.T) {
	dir := t.TempDir()
	config := testConfig + `modparam("queue", "dir", "` + dir + `")`
	const socket = "xmlrpc:127.0.0.1:1:m"
	d := started(t, config)
	if err := d.Events().Subscribe("E_A", socket, evid.Never); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	for range 3 {
		if _, err := d.Events().Raise(t.Context(), "E_A"); err != nil {
			t.Fatal(err)
		}
	}
	want := mi.QueueStatus{
		Mode: "durable", Where: dir, Sync: "always", Events: 3, MaxAge: 7 * 24 * time.Hour, OnFull: "drop_oldest",
		Waiting: 3, Behind: 1, Subscribers: []mi.QueuedSubscriber{{Event: "E_A", Socket: socket, Waiting: 3}},
	}
	check := func(d *Daemon) {
		t.Helper()
		got := d.QueueStatus(10)
		ignore := cmpopts.IgnoreFields(mi.QueueStatus{}, "Bytes", "MaxBytes", "Oldest")
		if diff := cmp.Diff(want, got, ignore, cmpopts.IgnoreFields(mi.QueuedSubscriber{}, "Oldest")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if oldest := got.Subscribers[0].Oldest; oldest.Before(before) || oldest.After(time.Now()) {
			t.Errorf("the oldest was raised at %v, not after %v", oldest, before)
		}
		if got.Bytes == 0 || got.MaxBytes == 0 {
			t.Errorf("%d of %d bytes", got.Bytes, got.MaxBytes)
		}
	}
	check(d)
	for _, stat := range d.queueStatistics() {
		want := map[string]uint64{"commits": 3, "committed": 3, "writable": 1, "log_events": 3, "behind": 1}[stat.Name]
		if stat.Value != want && stat.Name != "log_bytes" && stat.Name != "log_age" {
			t.Errorf("%s is %d, want %d", stat.Name, stat.Value, want)
		}
	}
	stopped(t, d)

	d = started(t, strings.Replace(config, `loadmodule "event_xmlrpc.so"`, "", 1))
	want.Dormant = 1
	want.Subscribers[0].Dormant = true
	want.Subscribers[0].Reason = `parse socket "xmlrpc:127.0.0.1:1:m": unknown transport "xmlrpc": expected a socket that starts with route:`
	check(d)
	stopped(t, d)

	d = started(t, config)
	want.Dormant, want.Subscribers[0].Dormant, want.Subscribers[0].Reason = 0, false, ""
	check(d)
	stopped(t, d)

	d = started(t, strings.Replace(config, `loadmodule "event_xmlrpc.so"`, "", 1))
	if err := d.Events().Unsubscribe("E_A", socket); err != nil {
		t.Error(err)
	}
	if got, total := d.QueueStatus(10), d.queue.Totals(); got.Dormant != 0 || total.Abandoned != 3 || total.Waiting != 0 {
		t.Errorf("after it has unsubscribed: %+v, %+v", got, total)
	}
	stopped(t, d)
}
