package xmlrpc

import (
	"testing"

	"github.com/evid/evid"
)

// A countingTask is a task whose goroutine is blocked when it is suspended.
type countingTask struct {
	suspended, owned int
	resumed          chan struct{}
}

func (t *countingTask) Suspend(suspended func()) {
	t.suspended++
	suspended()
	<-t.resumed
}

func (t *countingTask) Resume() { t.resumed <- struct{}{} }
func (t *countingTask) Own()    { t.owned++ }

// A task is suspended while the server has not answered, and is told before what lasts or blocks:
// connecting, and what package net does.
func TestDeliverTask(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0", wellBehaved)
	for options, wants := range map[string]struct{ suspended, owned bool }{
		"":           {suspended: true},
		";confirm=0": {owned: true},
	} {
		t.Run(options, func(t *testing.T) {
			l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m"+options)
			task := &countingTask{resumed: make(chan struct{}, 1)}
			deliver := func() {
				batch := l.events(1)
				l.DeliverTask(task, batch)
				if v := batch[0].Result.Verdict; v != evid.Delivered && v != evid.Unconfirmed {
					t.Fatalf("got %+v", batch[0].Result)
				}
			}
			deliver()
			wantEqual(t, "told before connecting", task.owned > 0, true)
			task.owned, task.suspended = 0, 0
			deliver()
			wantEqual(t, "suspended", task.suspended > 0, wants.suspended)
			wantEqual(t, "told", task.owned > 0, wants.owned)
		})
	}
}
