package route_test

import (
	"context"
	"testing"

	"github.com/evid/evid"
	"github.com/evid/evid/transport/route"
)

// An idle runner has one route, which does nothing.
type idle struct{}

func (idle) HasEvent(string) bool { return true }

func (idle) RunEvent(context.Context, string, *evid.Event) error { return nil }

// deliverer returns a function that delivers an event to a route.
func deliverer(tb testing.TB) func() {
	transport := route.New(idle{})
	socket, err := transport.Parse("E_X")
	if err != nil {
		tb.Fatal(err)
	}
	lane := transport.Open(socket)
	tb.Cleanup(func() { lane.Close() })
	items := []evid.Item{{Event: &evid.Event{Name: "E_X"}, Socket: socket}}
	return func() {
		items[0].Result = evid.Result{}
		if lane.Deliver(items); items[0].Result.Verdict != evid.Delivered {
			tb.Fatalf("%+v", items[0].Result)
		}
	}
}

// BenchmarkDeliver runs a route that does nothing: the transport's part of an event.
func BenchmarkDeliver(b *testing.B) {
	deliver := deliverer(b)
	b.ReportAllocs()
	for b.Loop() {
		deliver()
	}
}
