package jetstream_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/jetstream"
)

// inDir are the parameters of a store in a directory.
func inDir(dir string) jetstream.Params {
	p := jetstream.DefaultParams()
	p.Dir = dir
	return p
}

func open(t testing.TB, p jetstream.Params) *jetstream.Store {
	t.Helper()
	return openLogged(t, p, nil)
}

func openLogged(t testing.TB, p jetstream.Params, log *slog.Logger) *jetstream.Store {
	t.Helper()
	s, err := jetstream.Open(p, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func appendTo(t testing.TB, s queue.Store, j queue.Journal, last uint64, data string) {
	t.Helper()
	pos, err := s.Append(j, last, []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	if pos != last+1 {
		t.Fatalf("got position %d, want %d", pos, last+1)
	}
}

// readAll returns what is in a journal from a position on.
func readAll(t testing.TB, s queue.Store, j queue.Journal, from uint64) []queue.Entry {
	t.Helper()
	var all []queue.Entry
	for entries := make([]queue.Entry, 500); ; {
		n, err := s.Read(j, from, entries)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return all
		}
		all = append(all, entries[:n]...)
		from = entries[n-1].Pos + 1
	}
}

// until waits for a condition, and fails the test if it does not come true in time.
func until(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, limit)
		}
	}
}

// A logBuffer keeps what is logged.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelInfo}))
}
