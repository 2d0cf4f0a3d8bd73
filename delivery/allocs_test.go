//go:build !race

package delivery_test

import (
	"context"
	"testing"

	"github.com/evid/evid"
	"github.com/evid/evid/delivery"
	"github.com/evid/evid/queue"
)

// An instant is a transport, and its only lane, that delivers at once and tells of
// it. Its socket has no options.
type instant struct{ delivered chan struct{} }

func (n *instant) Key() string                       { return "instant:" }
func (n *instant) String() string                    { return n.Key() }
func (n *instant) Scheme() string                    { return "instant" }
func (n *instant) Parse(string) (evid.Socket, error) { return n, nil }
func (n *instant) Lane(evid.Socket) string           { return n.Key() }
func (n *instant) Open(evid.Socket) evid.Lane        { return n }

func (n *instant) Deliver(batch []evid.Item) {
	for i := range batch {
		batch[i].Result = evid.Result{Verdict: evid.Delivered, Answered: true}
	}
	n.delivered <- struct{}{}
}

func (n *instant) Idle() (keep bool) { return false }
func (n *instant) Close() error      { return nil }

// From the queue through the engine to a lane and back nothing is allocated, also
// when a worker has to be woken. The race detector allocates itself.
func TestDeliveryAllocates(t *testing.T) {
	n := &instant{delivered: make(chan struct{}, 1)}
	engine := delivery.New(delivery.Options{})
	defer engine.Close()
	q := queue.New(queue.DefaultParams(), engine)
	if err := q.OpenSub(&evid.Subscription{Event: "E_A", Socket: n, Transport: n}); err != nil {
		t.Fatal(err)
	}
	event := &evid.Event{Name: "E_A"}
	deliver := func() {
		if kept, err := q.Accept(context.Background(), event); !kept || err != nil {
			t.Fatalf("Accept: %t, %v", kept, err)
		}
		<-n.delivered
	}
	for range 100 { // until what they need is there
		deliver()
	}
	if allocs := testing.AllocsPerRun(500, deliver); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}
