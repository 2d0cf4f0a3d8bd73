//go:build !race

package route_test

import "testing"

// To run a route takes one allocation: the context that counts the hops. The race
// detector allocates itself.
func TestDeliverAllocates(t *testing.T) {
	deliver := deliverer(t)
	if allocs := testing.AllocsPerRun(1000, deliver); allocs > 1 {
		t.Errorf("%v allocations, want at most 1", allocs)
	}
}
