//go:build !race

package cachedb_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/evid/evid/script/cachedb"
)

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// What is counted as bytes is at least what is taken, with a million counters that expire.
func TestMemory(t *testing.T) {
	const n = 1_000_000
	s := open(t, cachedb.Params{MaxBytes: 1 << 30})
	c := collection(t, s, "local")
	keys := keysOf(n)
	before := heap()
	for _, key := range keys {
		if _, err := c.Add(key, 1, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	taken, counted := heap()-before, s.Stats().Bytes
	t.Logf("%d bytes for each of a million entries, %d counted", taken/n, counted/n)
	if taken > counted {
		t.Errorf("%d bytes are taken, %d are counted", taken, counted)
	}
	for _, key := range keys {
		c.Remove(key)
	}
	if left := heap() - before; left > taken*2/3 {
		t.Errorf("%d bytes of %d are left when all is removed", left, taken)
	}
	runtime.KeepAlive(keys)
}

// Counting a key that is there allocates nothing.
func TestAddAllocates(t *testing.T) {
	c := local(t)
	for name, f := range map[string]func(){
		"Add":          func() { c.Add("k", 1, time.Hour) },
		"FetchCounter": func() { c.FetchCounter("k") },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}
