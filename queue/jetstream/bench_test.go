package jetstream_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/jetstream"
	"github.com/evid/evid/queue/storetest"
)

// What an append costs beside a bare publish to a server with the same options.
func BenchmarkAppend(b *testing.B) {
	for _, sync := range []string{jetstream.SyncAlways, jetstream.SyncNever} {
		for _, size := range []int{300, 128 << 10} {
			entry := storetest.Noise(size)
			b.Run(fmt.Sprintf("bare/sync=%s/%d", sync, size), func(b *testing.B) {
				js := bareServer(b, sync == jetstream.SyncAlways)
				b.SetBytes(int64(size))
				for b.Loop() {
					if _, err := js.Publish("bare", entry); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("append/sync=%s/%d", sync, size), func(b *testing.B) {
				p := inDir(b.TempDir())
				p.Sync = sync
				s := open(b, p)
				b.SetBytes(int64(size))
				var last uint64
				for b.Loop() {
					var err error
					if last, err = s.Append(queue.EventLog, last, entry); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func bareServer(b *testing.B, always bool) nats.JetStreamContext {
	b.Helper()
	s, err := server.NewServer(&server.Options{
		DontListen: true, NoSigs: true, NoLog: true, JetStream: true, StoreDir: b.TempDir(),
		SyncAlways: always, SyncInterval: time.Hour,
	})
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	b.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	conn, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(conn.Close)
	js, err := conn.JetStream()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := js.AddStream(&nats.StreamConfig{Name: "bare", Subjects: []string{"bare"}}); err != nil {
		b.Fatal(err)
	}
	return js
}

// How fast a journal is read.
func BenchmarkRead(b *testing.B) {
	for _, c := range []struct{ size, n int }{{300, 20_000}, {77 << 10, 1000}} {
		b.Run(fmt.Sprint(c.size), func(b *testing.B) {
			p := inDir(b.TempDir())
			p.Sync = jetstream.SyncNever
			s := open(b, p)
			entry := storetest.Noise(c.size)
			for last := range uint64(c.n) {
				if _, err := s.Append(queue.EventLog, last, entry); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(c.size * c.n))
			b.ReportAllocs()
			for b.Loop() {
				if got := len(readAll(b, s, queue.EventLog, 1)); got != c.n {
					b.Fatalf("got %d entries, want %d", got, c.n)
				}
			}
			b.ReportMetric(float64(c.n)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// How long it takes to open a queue: an empty one, and one with a million events.
func BenchmarkOpen(b *testing.B) {
	for _, chunks := range []int{0, 4000} {
		b.Run(fmt.Sprintf("chunks=%d", chunks), func(b *testing.B) {
			p := inDir(b.TempDir())
			p.Sync = jetstream.SyncNever
			s := open(b, p)
			entry := storetest.Noise(250 * 304)
			for last := range uint64(chunks) {
				if _, err := s.Append(queue.EventLog, last, entry); err != nil {
					b.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				s, err := jetstream.Open(p, nil)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				s.Close()
				b.StartTimer()
			}
		})
	}
}
