//go:build !race

package program_test

import (
	"testing"

	"github.com/evid/evid"
)

// An event route with an if, a regular expression and a raise takes no memory of its own.
// The race detector allocates itself.
func TestEventRouteAllocates(t *testing.T) {
	p := typicalProgram(t)
	e := &evid.Event{Name: "E_PIKE_BLOCKED", Params: []evid.Param{evid.String("ip", "192.168.2.11")}}
	allocs := testing.AllocsPerRun(1000, func() {
		if err := p.RunEvent(t.Context(), e.Name, e); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}
