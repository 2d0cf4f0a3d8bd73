package jetstream

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/storetest"
)

// Entries whose file cannot be opened are not taken for lost: the server says of them
// that they are not there.
func TestTooManyOpenFiles(t *testing.T) {
	p := DefaultParams()
	p.Dir, p.Sync = t.TempDir(), SyncNever
	s, err := Open(p, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	entry := storetest.Noise(700 << 10)
	var last uint64
	for range 30 { // several files
		if last, err = s.Append(queue.EventLog, last, entry); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(p, slog.New(slog.DiscardHandler)); err != nil { // nothing is in its memory
		t.Fatal(err)
	}
	defer s.Close()
	entries := make([]queue.Entry, 8)
	free := takeFiles(t)
	n, err := s.Read(queue.EventLog, 1, entries)
	free()
	if !errors.Is(err, syscall.EMFILE) && (n == 0 || entries[0].Pos != 1) {
		t.Errorf("without free files: %d entries, %v", n, err)
	}
	if n, err := s.Read(queue.EventLog, 1, entries); err != nil || n == 0 || entries[0].Pos != 1 {
		t.Errorf("with free files: %d entries, %v", n, err)
	}
}

// takeFiles opens files until no more can be.
func takeFiles(t *testing.T) (free func()) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	low := old
	low.Cur = 128
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	var files []*os.File
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		files = append(files, f)
	}
	return func() {
		for _, f := range files {
			f.Close()
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
			t.Error(err)
		}
	}
}

// Nothing is taken any more once the directory is not where it was: the next evid would
// not find it.
func TestDirectoryMoved(t *testing.T) {
	p := DefaultParams()
	p.Dir = filepath.Join(t.TempDir(), "q")
	s, err := Open(p, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := os.Rename(p.Dir, p.Dir+"2"); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		<-tick.C
		if s.Health() != nil {
			break
		}
	}
	_, err = s.Append(queue.EventLog, 0, []byte("x"))
	if !errors.Is(err, queue.ErrUnhealthy) || !strings.Contains(err.Error(), "the directory was moved or removed") {
		t.Errorf("append: %v", err)
	}
}
