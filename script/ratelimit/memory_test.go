//go:build !race

package ratelimit_test

import (
	"log/slog"
	"runtime"
	"testing"

	"github.com/evid/evid/script/ratelimit"
	"github.com/evid/evid/script/value"
)

// A check of a pipe that is there takes no memory, nor does rl_check. The race detector
// allocates itself.
func TestCheckAllocates(t *testing.T) {
	l := open(t, nil)
	p, errs := compile(t, l, `route[r] { rl_check("constant", 5); rl_check("$param(1)", 5, "SBT"); }`, slog.New(slog.DiscardHandler))
	if errs != nil {
		t.Fatal(errs)
	}
	args := []value.Value{value.String("gw_a")}
	for name, f := range map[string]func(){
		"Check":    func() { l.Check("p", 5, ratelimit.SBT) },
		"rl_check": func() { p.RunRoute(t.Context(), "r", args) },
	} {
		if allocs := testing.AllocsPerRun(1000, f); allocs > 0 {
			t.Errorf("%s: %v allocations, want none", name, allocs)
		}
	}
}

// Pipes take no more memory than is counted for them, be the tables full or just doubled.
func TestMemory(t *testing.T) {
	names := namesOf(200_000)
	for _, a := range []ratelimit.Algorithm{ratelimit.TailDrop, ratelimit.SBT} {
		for maxBytes := int64(2 << 20); maxBytes <= 16<<20; maxBytes += maxBytes / 3 {
			l := open(t, func(p *ratelimit.Params) { p.MaxBytes = int(maxBytes) })
			before := heap()
			made := int64(0)
			for _, name := range names {
				if _, err := l.Check(name, 1, a); err != nil {
					break
				}
				made++
			}
			took := heap() - before
			runtime.KeepAlive(l)
			t.Logf("%v: %d pipes, %d bytes each", a, made, took/made)
			if took > maxBytes {
				t.Errorf("%v: %d pipes take %d bytes, want at most %d", a, made, took, maxBytes)
			}
		}
	}
	runtime.KeepAlive(names)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
