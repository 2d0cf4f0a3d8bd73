package xmlrpc

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// When maxDraining connections wait for their receivers, the next call waits for
// one of them to end, or for the lane to be closed; which takes drainGrace.
func TestDrainingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openTestLane(t, newTransports(t, nil), "h:1:m;confirm=0")
		room := make(chan bool, 1)
		wait := func() (waits bool) {
			go func() { room <- l.waitForRoom() }()
			synctest.Wait()
			return len(room) == 0
		}
		var receivers []net.Conn
		for range maxDraining {
			if wait() || !<-room {
				t.Fatalf("no room beside %d", len(receivers))
			}
			ours, theirs := net.Pipe()
			l.drain(ours)
			receivers = append(receivers, theirs)
		}
		if !wait() {
			t.Fatalf("room beside %d", maxDraining)
		}
		receivers[0].Close()
		wantEqual(t, "room after one has ended", <-room, true)

		ours, _ := net.Pipe()
		l.drain(ours)
		if !wait() {
			t.Fatalf("room beside %d", maxDraining)
		}
		start := time.Now()
		l.Close()
		wantEqual(t, "room in a closed lane", <-room, false)
		wantEqual(t, "time that Close takes", time.Since(start), drainGrace)
		wantEqual(t, "room after that", l.waitForRoom(), false)
		wantEqual(t, "draining", len(l.unconfirmed.draining), 0)
	})
}

// A lane whose connections drain is to be kept until they have: closing it would hurry
// them.
func TestDrainingLaneIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openTestLane(t, newTransports(t, nil), "h:1:m;confirm=0")
		l.waitForRoom()
		ours, theirs := net.Pipe()
		l.drain(ours)
		wantEqual(t, "kept while one drains", l.Idle(), true)
		theirs.Close()
		synctest.Wait()
		wantEqual(t, "kept after that", l.Idle(), false)
	})
}
