package jetstream

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/evid/evid/queue"
)

// A JournalReport says what a journal has that is not in use.
type JournalReport struct {
	Journal queue.Journal
	Info    queue.JournalInfo
	Damage  []string // for people
}

// verifyTime is what the server may take for each answer: nobody waits for it.
const verifyTime = longestCommit

// Verify checks the directory of an embedded server that nobody uses, and has each called
// with every entry that can be read; an error of it ends the check.
//
// The server changes files when it opens them, so it opens a copy, next to the directory
// or else with the other temporary files. In that, files that nobody will write to are
// links to the original ones: they take no room.
func Verify(dir string, each func(j queue.Journal, e queue.Entry) error) ([]JournalReport, error) {
	reports, err := verify(dir, each)
	if err != nil {
		return reports, fmt.Errorf("verify queue %s: %w", dir, err)
	}
	return reports, nil
}

func verify(dir string, each func(j queue.Journal, e queue.Entry) error) (reports []JournalReport, err error) {
	if info, err := os.Stat(filepath.Join(dir, "jetstream")); err != nil || !info.IsDir() {
		return nil, errors.New("expected the directory of a queue, there is no directory jetstream in it")
	}
	f, err := os.Open(filepath.Join(dir, lockFile))
	if err == nil {
		defer f.Close()
		if errors.Is(tryLock(f), errLocked) {
			return nil, fmt.Errorf("an evid uses it%s: stop that first", holder(f))
		}
	}
	dirCopy, err := os.MkdirTemp(filepath.Dir(dir), ".evid-verify-")
	if err != nil {
		if dirCopy, err = os.MkdirTemp("", "evid-verify-"); err != nil {
			return nil, fmt.Errorf("make a directory for a copy: %w", err)
		}
	}
	defer os.RemoveAll(dirCopy)
	if err := copyQueue(dir, dirCopy); err != nil {
		return nil, fmt.Errorf("make a copy: %w", err)
	}
	p := DefaultParams()
	p.Dir, p.Sync, p.CommitTimeout, p.noReserve = dirCopy, SyncNever, verifyTime, true
	s, err := Open(p, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for j := range queue.Journals {
		r, err := s.verify(j, each)
		if err != nil {
			return reports, err
		}
		reports = append(reports, r)
	}
	return reports, nil
}

// verify reads a journal from its beginning to its end.
func (s *Store) verify(j queue.Journal, each func(j queue.Journal, e queue.Entry) error) (JournalReport, error) {
	r := JournalReport{Journal: j}
	var err error
	if r.Info, err = s.Info(j); err != nil {
		return r, err
	}
	for _, text := range s.Damage() {
		if of, what, ok := strings.Cut(text, ": "); ok && of == j.String() {
			r.Damage = append(r.Damage, what)
		} else if strings.Contains(text, "["+s.names.stream(j)+"]") {
			r.Damage = append(r.Damage, text)
		}
	}
	var count uint64
	entries := make([]queue.Entry, readEntries)
	for from := r.Info.First; ; {
		n, err := s.Read(j, from, entries)
		if err != nil {
			return r, err
		}
		if n == 0 {
			break
		}
		for _, e := range entries[:n] {
			if err := each(j, e); err != nil {
				return r, fmt.Errorf("entry %d of %s: %w", e.Pos, j, err)
			}
		}
		count += uint64(n)
		from = entries[n-1].Pos + 1
	}
	if count < r.Info.Entries {
		r.Damage = append(r.Damage, fmt.Sprintf("%d of %d entries cannot be read", r.Info.Entries-count, r.Info.Entries))
		r.Info.Entries = count
	}
	return r, nil
}

// copyQueue copies what the server keeps.
func copyQueue(from, to string) error {
	safe, err := safeToLink(from)
	if err != nil {
		return err
	}
	root := filepath.Join(from, "jetstream")
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		case !d.Type().IsRegular():
			return nil
		case safe[path] && os.Link(path, target) == nil:
			return nil
		}
		return copyFile(path, target)
	})
}

// safeToLink returns the blocks that the server only reads: those that are whole, and not
// the last of their stream.
func safeToLink(dir string) (map[string]bool, error) {
	safe := map[string]bool{}
	n := names{embeddedPrefix}
	for j := range queue.Journals {
		blocks, err := blockFiles(streamDir(dir, n.stream(j)))
		if err != nil {
			return nil, err
		}
		for i := range blocks[:max(len(blocks)-1, 0)] {
			b := &blocks[i]
			data, err := os.ReadFile(b.path)
			if err != nil {
				return nil, err
			}
			s, err := newScanner(n.stream(j), b.number)
			if err != nil {
				return nil, err
			}
			b.scan(s, data)
			safe[b.path] = len(b.holes) == 0
		}
	}
	return safe, nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
