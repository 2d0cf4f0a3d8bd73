package jetstream_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/jetstream"
	"github.com/evid/evid/queue/storetest"
)

// mountTmpfs mounts a small file system. As what cannot be tested is not known to work,
// the test fails where that is not allowed.
func mountTmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mount a tmpfs: %v (run as root)", err)
	}
	t.Cleanup(func() {
		// The server may still be tidying up behind its end.
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fillDisk appends until the disk is full, and returns the newest acknowledged position.
func fillDisk(t *testing.T, s *jetstream.Store) uint64 {
	t.Helper()
	entry := storetest.Noise(64 << 10)
	for last := range uint64(10_000) {
		pos, err := s.Append(queue.EventLog, last, entry)
		if err == nil {
			if pos != last+1 {
				t.Fatalf("got position %d, want %d", pos, last+1)
			}
			continue
		}
		if !errors.Is(err, queue.ErrUnconfirmed) {
			t.Fatalf("got %v, want %v", err, queue.ErrUnconfirmed)
		}
		if _, err := s.Append(queue.EventLog, last, []byte("x")); !errors.Is(err, queue.ErrUnhealthy) {
			t.Fatalf("got %v, want %v", err, queue.ErrUnhealthy)
		}
		return last
	}
	t.Fatal("the disk does not get full")
	return 0
}

func fullDisk(t *testing.T, sync, size string) (*jetstream.Store, *logBuffer, string) {
	t.Helper()
	dir := mountTmpfs(t, size)
	if err := os.WriteFile(filepath.Join(dir, "other"), make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	p := inDir(filepath.Join(dir, "queue"))
	p.CommitTimeout, p.Sync = 4*time.Second, sync // reads are slow with the race detector
	log := &logBuffer{}
	return openLogged(t, p, log.logger()), log, dir
}

// With a full disk nothing is accepted, and all is readable; with room the store is well.
func TestDiskFull(t *testing.T) {
	for _, sync := range []string{jetstream.SyncAlways, jetstream.SyncNever} {
		t.Run("sync="+sync, func(t *testing.T) {
			t.Parallel()
			s, log, dir := fullDisk(t, sync, "12m")
			last := fillDisk(t, s)
			until(t, 10*time.Second, "the reason is known", func() bool {
				err := s.Health()
				return err != nil && strings.Contains(err.Error(), "the queue cannot write: the disk is full: expected 2949120 bytes free, there are ")
			})
			if got := readAll(t, s, queue.EventLog, 1); uint64(len(got)) < last || got[0].Pos != 1 {
				t.Errorf("%d entries are there, want %d", len(got), last)
			}
			if err := os.Remove(filepath.Join(dir, "other")); err != nil {
				t.Fatal(err)
			}
			goesOn(t, s, last)
			if text := log.String(); strings.Count(text, "cannot write: events are refused until it can") != 1 || strings.Count(text, "can write again") != 1 {
				t.Errorf("the log says:\n%s", text)
			}
		})
	}
}

// goesOn sees that a store gets well, and has all that was acknowledged.
func goesOn(t *testing.T, s *jetstream.Store, last uint64) {
	t.Helper()
	until(t, 10*time.Second, "the store is well", func() bool { return s.Health() == nil })
	info, err := s.Info(queue.EventLog)
	if err != nil {
		t.Fatal(err)
	}
	// The unconfirmed one may have been kept.
	if info.Last != last && info.Last != last+1 {
		t.Errorf("the last position is %d, want %d or the next", info.Last, last)
	}
	appendTo(t, s, queue.EventLog, info.Last, "after it")
	all := readAll(t, s, queue.EventLog, info.First)
	if uint64(len(all)) != info.Last-info.First+2 || string(all[len(all)-1].Data) != "after it" {
		t.Errorf("got %d entries from %d, want all to %d", len(all), info.First, info.Last+1)
	}
	for i, e := range all[:len(all)-1] {
		if e.Pos != info.First+uint64(i) || len(e.Data) != 64<<10 {
			t.Fatalf("entry %d has %d bytes", e.Pos, len(e.Data))
		}
	}
}

// A disk that the queue itself has filled gets room by a trim.
func TestDiskFullTrim(t *testing.T) {
	t.Parallel()
	s, log, _ := fullDisk(t, jetstream.SyncAlways, "32m") // several files: a trim removes whole ones
	defer func() {
		if t.Failed() {
			t.Logf("health: %v; the log says:\n%s", s.Health(), log)
		}
	}()
	last := fillDisk(t, s)
	until(t, 10*time.Second, "the reason is known", func() bool {
		err := s.Health()
		return err != nil && strings.Contains(err.Error(), "the disk is full")
	})
	if err := s.Trim(queue.EventLog, last/2); err != nil {
		t.Fatal(err)
	}
	goesOn(t, s, last)
}

// reserveBytes is the room that the reserve takes.
func reserveBytes(t *testing.T, dir string) int64 {
	t.Helper()
	var s unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, "reserve"), &s); err != nil {
		t.Fatal(err)
	}
	return s.Blocks * 512
}

// awaitShort waits until a store takes all but events.
func awaitShort(t *testing.T, s *jetstream.Store, last uint64) {
	t.Helper()
	until(t, 10*time.Second, "the reserve is given up", func() bool {
		_, err := s.Append(queue.StateLog, last, []byte("x"))
		return err == nil
	})
	appendTo(t, s, queue.LetterLog, last, "x")
	want := "append to events: the queue cannot write: the disk is full: expected 7143424 bytes free, there are "
	if _, err := s.Append(queue.EventLog, 0, []byte("x")); !errors.Is(err, queue.ErrUnhealthy) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := s.Health(); !errors.Is(err, queue.ErrUnhealthy) {
		t.Errorf("health: got %v, want %v", err, queue.ErrUnhealthy)
	}
}

// On a full disk all is kept but events, and what is not needed any more can be thrown
// away: then there is room again. That also holds if evid is started meanwhile.
func TestReserve(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart=", restart), func(t *testing.T) {
			t.Parallel()
			p := inDir(filepath.Join(mountTmpfs(t, "24m"), "queue"))
			log := &logBuffer{}
			s := openLogged(t, p, log.logger())
			if got := reserveBytes(t, p.Dir); got != 4<<20 {
				t.Fatalf("the reserve has %d bytes, want 4 MB", got)
			}
			last := fillDisk(t, s)
			awaitShort(t, s, 0)
			if got := reserveBytes(t, p.Dir); got != 0 {
				t.Errorf("the reserve has %d bytes, want none", got)
			}
			if restart {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = openLogged(t, p, log.logger())
				awaitShort(t, s, 1)
			}
			// In the middle of a file, the first one: that gives back nothing, and does no harm.
			_ = s.Trim(queue.EventLog, 10)
			if err := s.Trim(queue.EventLog, last*2/3); err != nil {
				t.Fatal(err)
			}
			goesOn(t, s, last)
			if got := reserveBytes(t, p.Dir); got != 4<<20 {
				t.Errorf("the reserve has %d bytes, want 4 MB again", got)
			}
			text := log.String()
			given := 1
			if restart {
				given = 2
			}
			if strings.Count(text, "cannot write: events are refused until it can") != 1 || strings.Count(text, "has given up its reserve") != given ||
				strings.Count(text, "can write again") != 1 {
				t.Errorf("the log says:\n%s", text)
			}
		})
	}
}

// What others have filled they have to give back; until then all but events is kept.
func TestReserveAmongOthers(t *testing.T) {
	t.Parallel()
	dir := mountTmpfs(t, "24m")
	p := inDir(filepath.Join(dir, "queue"))
	s := open(t, p)
	appendTo(t, s, queue.EventLog, 0, "x")
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, make([]byte, 24<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	if _, err := s.Append(queue.EventLog, 1, storetest.Noise(64<<10)); !errors.Is(err, queue.ErrUnconfirmed) {
		t.Fatalf("got %v, want %v", err, queue.ErrUnconfirmed)
	}
	awaitShort(t, s, 0)
	if err := s.Trim(queue.EventLog, 2); err != nil {
		t.Error(err)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	until(t, 10*time.Second, "the store is well", func() bool { return s.Health() == nil })
	if got := reserveBytes(t, p.Dir); got != 4<<20 {
		t.Errorf("the reserve has %d bytes, want 4 MB again", got)
	}
}
