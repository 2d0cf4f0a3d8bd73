//go:build !race

package hep_test

import (
	"testing"

	"github.com/evid/evid/source/hep"
	"github.com/evid/evid/source/hep/heptest"
)

// A packet that is not compressed is decoded, and its chunks are found, without allocating.
func TestAllocs(t *testing.T) {
	packet := heptest.AppendPacket(nil, mirrored())
	if n := testing.AllocsPerRun(100, func() {
		p, err := hep.Decode(packet)
		if err != nil {
			t.Fatal(err)
		}
		p.Chunk(3, 101)
		_ = p.Transport()
	}); n != 0 {
		t.Errorf("got %v allocations", n)
	}
}
