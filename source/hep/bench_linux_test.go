package hep_test

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evid/evid/source/hep"
	"github.com/evid/evid/source/hep/heptest"
)

// BenchmarkReceive is what a packet costs from the socket to a handler that does nothing.
// The sender is in the same process. It sends bursts that the receive buffer holds, and
// none is lost; cpu-ns/packet leaves out its thread, and so holds on a busy machine too:
// 1e9 divided by it is how many packets one core can take.
func BenchmarkReceive(b *testing.B) {
	for _, bench := range []struct {
		transport string
		workers   int
	}{{"udp", 1}, {"udp", 8}, {"tcp", 1}} {
		name := bench.transport
		if bench.workers > 1 {
			name += "-8-workers"
		}
		b.Run(name, func(b *testing.B) { benchmarkReceive(b, bench.transport, bench.workers) })
	}
}

const burst = 256

func benchmarkReceive(b *testing.B, transport string, workers int) {
	var handled atomic.Int64
	burstHandled := make(chan struct{}, 1)
	params := hep.DefaultParams()
	params.Workers = workers
	server, err := hep.New(params, []hep.Socket{{Transport: transport, Addr: netip.MustParseAddrPort("127.0.0.1:0")}},
		func(context.Context, *hep.Packet) {
			if handled.Add(1)%burst == 0 {
				burstHandled <- struct{}{}
			}
		}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	conn, err := net.Dial(transport, server.Sockets()[0].Addr.String())
	if err != nil {
		b.Fatal(err)
	}
	packet := heptest.AppendPacket(nil, mirrored())
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	all, sender := cpuTime(b, unix.RUSAGE_SELF), cpuTime(b, unix.RUSAGE_THREAD)
	sent := 0
	for b.Loop() {
		if _, err := conn.Write(packet); err != nil {
			b.Fatal(err)
		}
		if sent++; sent%burst == 0 {
			<-burstHandled
		}
	}
	all, sender = cpuTime(b, unix.RUSAGE_SELF)-all, cpuTime(b, unix.RUSAGE_THREAD)-sender
	b.ReportMetric(float64(all-sender)/float64(sent), "cpu-ns/packet")
	conn.Close()
	if stats := server.Stats(); stats.Dropped > 0 || stats.Malformed > 0 {
		b.Errorf("%d sent: %+v", sent, stats)
	}
	if err := server.Stop(context.Background()); err != nil {
		b.Fatal(err)
	}
}

func cpuTime(b *testing.B, of int) time.Duration {
	b.Helper()
	var usage unix.Rusage
	if err := unix.Getrusage(of, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
