package test_test

import (
	"fmt"
	"net"
	"testing"

	"github.com/evid/evid/internal/daemon/daemontest"
)

// With sync_mode=1 the answer to raise_event says what became of the event.
func TestSyncMode(t *testing.T) {
	reached := make(chan struct{}, 1)
	s := serveBad(t, func(conn net.Conn, stop <-chan struct{}) {
		reached <- struct{}{}
		says(httpReply("500 Internal Server Error", ""))(conn, stop)
	})
	d := daemontest.Start(t, `modparam("event_xmlrpc", "sync_mode", 1)`)
	good, bad := "xmlrpc:"+s.addr+":good", "xmlrpc:"+s.addr+":bad"

	d.Subscribe("E_TEST", good)
	d.Call("raise_event", []any{"E_TEST"})
	if st := d.Statistics(); st["delivered"] != 1 || st["waiting"] != 0 {
		t.Errorf("answered before it was delivered: %v", st)
	}
	receive(t, s.good)

	d.Subscribe("E_TEST", bad)
	refusal := d.Refused("raise_event", []any{"E_TEST"})
	want := fmt.Sprintf("cannot raise event (500): subscriber %q: HTTP status 500 Internal Server Error", bad)
	if refusal.Error() != want {
		t.Errorf("refused with %v, want %s", refusal, want)
	}
	receive(t, s.good) // the other one has it all the same
	<-reached
	checkStatistics(t, d.Settled(), map[string]uint64{"delivered": 2, "dead": 1, "retried": 1})
}

// While an attempt is made at a synchronous subscriber, another raise does not
// wait for it: it fails at once, and nobody gets the event.
func TestSyncModeBusy(t *testing.T) {
	reached, answer := make(chan struct{}), make(chan struct{})
	s := serveBad(t, func(conn net.Conn, stop <-chan struct{}) {
		close(reached)
		<-answer
		says(httpReply("200 OK", okReply))(conn, stop)
	})
	d := daemontest.Start(t, "")
	bad := "xmlrpc:" + s.addr + ":bad;sync_mode=1"
	d.Subscribe("E_TEST", bad)
	first := make(chan error)
	go func() {
		_, err := d.Events.Raise(t.Context(), "E_TEST")
		first <- err
	}()
	<-reached
	refusal := d.Refused("raise_event", []any{"E_TEST"})
	want := fmt.Sprintf("cannot raise event (500): subscriber %q: events wait before it: 1", bad)
	if refusal.Error() != want {
		t.Errorf("refused with %v, want %s", refusal, want)
	}
	close(answer)
	if err := <-first; err != nil {
		t.Errorf("the first raise: %v", err)
	}
	checkStatistics(t, d.Settled(), map[string]uint64{"delivered": 1})
}
