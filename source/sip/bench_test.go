package sip_test

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/evid/evid/source/sip"
)

// A request through a handler that replies, there and back over loopback: 16 clients, each
// with one request under way.
func BenchmarkUDP(b *testing.B) {
	var handled atomic.Int64
	opts := options(sip.UDP)
	opts.Handler = func(ctx context.Context, r *sip.Request) { handled.Add(1); answer(ctx, r) }
	_, addr := start(b, opts)
	message := []byte(request("bob", "bench"))
	b.ReportAllocs()
	var clients sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	before, began := cpu(), time.Now()
	for range 16 {
		conn := dial(b, sip.UDP, addr)
		_ = conn.SetDeadline(time.Now().Add(10 * time.Minute))
		clients.Go(func() {
			buf := make([]byte, 4096)
			for left.Add(-1) >= 0 {
				if _, err := conn.Write(message); err != nil {
					b.Error(err)
					return
				}
				if _, err := conn.Read(buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	clients.Wait()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "requests/s")
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N), "cpu-ns/request") // the clients' too
}

// cpu is the processor time that the process has used.
func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// What a request costs beside reading it and sending the reply.
func BenchmarkHandle(b *testing.B) {
	handle := sip.Handling([]byte(request("bob", "bench")))
	b.ReportAllocs()
	for b.Loop() {
		handle()
	}
}

func BenchmarkParse(b *testing.B) {
	data := []byte(request("bob", "bench"))
	source := netip.MustParseAddrPort("192.0.2.1:5060")
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := sip.ParseRequest(data, source, sip.UDP); err != nil {
			b.Fatal(err)
		}
	}
}
