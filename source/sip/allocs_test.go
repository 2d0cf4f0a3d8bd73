//go:build !race

package sip_test

import (
	"net/netip"
	"testing"

	"github.com/evid/evid/source/sip"
)

// A reply needs no allocation beside those of parsing. The race detector allocates itself.
func TestAllocations(t *testing.T) {
	data := []byte(request("bob", "bench"))
	source := netip.MustParseAddrPort("192.0.2.1:5060")
	parsing := testing.AllocsPerRun(100, func() { _, _ = sip.ParseRequest(data, source, sip.UDP) })
	handling := testing.AllocsPerRun(100, sip.Handling(data))
	if handling > parsing || parsing > 35 {
		t.Errorf("%v allocations to parse, %v to handle, want at most 35 and no more", parsing, handling)
	}
}
