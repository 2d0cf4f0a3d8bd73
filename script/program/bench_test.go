package program_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/script"
	"github.com/evid/evid/script/core"
	"github.com/evid/evid/script/program"
)

// nowhere takes what a script raises, at no cost.
type nowhere struct{}

func (nowhere) Raise(context.Context, string, ...evid.Param) (evid.ID, error) {
	return evid.ID{Seq: 1}, nil
}
func (nowhere) SubscribeFromScript(string, string, time.Duration) error { return nil }
func (nowhere) Unsubscribe(string, string) error                        { return nil }
func (nowhere) CheckSocket(string, func(string) bool) error             { return nil }

const typicalScript = `
event_route[E_PIKE_BLOCKED] {
	if ($param(ip) =~ "^192\.168\.") {
		$avp(name) = "ip";
		$avp(value) = $param(ip);
		raise_event("E_LOCAL_BLOCKED", $avp(name), $avp(value));
	}
}`

func typicalProgram(tb testing.TB) *program.Program {
	file, err := script.Parse("evid.cfg", []byte(typicalScript), nil)
	if err != nil {
		tb.Fatal(err)
	}
	p, _, errs := program.Compile(file, program.Options{
		Library: core.Library(nowhere{}, statistics{}), Log: slog.New(slog.DiscardHandler), MaxWhileLoops: 10000,
	})
	if errs != nil {
		tb.Fatal(errs)
	}
	return p
}

// BenchmarkEventRoute is what a script costs of its own: an event route with an if, a
// regular expression and a raise that does nothing.
func BenchmarkEventRoute(b *testing.B) {
	p := typicalProgram(b)
	e := &evid.Event{Name: "E_PIKE_BLOCKED", Params: []evid.Param{evid.String("ip", "192.168.2.11")}}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if err := p.RunEvent(ctx, e.Name, e); err != nil {
			b.Fatal(err)
		}
	}
}
