package cachedb_test

import (
	"strconv"
	"sync"
	"testing"
	"time"
)

// plain is what a Collection costs more than: counters without limits and expiry.
type plain struct {
	mu sync.Mutex
	m  map[string]int64
}

func (p *plain) add(key string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.m[key]++
	return p.m[key]
}

func (p *plain) fetch(key string) (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, found := p.m[key]
	return n, found
}

const benchKeys = 10_000

func keysOf(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = "calls_198.51.100." + strconv.Itoa(i)
	}
	return keys
}

// Each operation on keys that are there, by one caller and by as many as there are cores,
// beside the same on a plain map.
func BenchmarkCache(b *testing.B) {
	c := local(b)
	p := &plain{m: make(map[string]int64)}
	keys := keysOf(benchKeys)
	for _, key := range keys {
		p.add(key)
		if _, err := c.Add(key, 1, time.Hour); err != nil {
			b.Fatal(err)
		}
	}
	for _, bench := range []struct {
		name string
		f    func(key string)
	}{
		{"Add", func(key string) { c.Add(key, 1, time.Hour) }},
		{"Add/plain", func(key string) { p.add(key) }},
		{"FetchCounter", func(key string) { c.FetchCounter(key) }},
		{"FetchCounter/plain", func(key string) { p.fetch(key) }},
		{"Fetch", func(key string) { c.Fetch(key) }},
		{"Store", func(key string) { c.Store(key, "1", time.Hour) }},
	} {
		b.Run(bench.name+"/one", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				bench.f(keys[i%benchKeys])
			}
		})
		b.Run(bench.name+"/all", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					bench.f(keys[i%benchKeys])
				}
			})
		})
	}
}

// Keys that come once each and expire, as those of a rate limiter.
func BenchmarkAddNewKeys(b *testing.B) {
	c := local(b)
	keys := keysOf(1_000_000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := c.Add(keys[i%len(keys)], 1, time.Millisecond); err != nil {
			b.Fatal(err)
		}
	}
}
