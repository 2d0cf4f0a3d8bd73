package jetstream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/evid/evid/queue"
)

const (
	// cleanFile is there if the directory was closed as it should be.
	cleanFile = "clean"
	// cleanBytes are looked through of each journal that was closed cleanly, the oldest
	// first: more would make the start of a large log take longer than it should. What is
	// damaged behind that is found when it is read, and left out.
	cleanBytes = 64 << 20
	// mostPositions is how many positions a file that is gone may have had.
	mostPositions = 1 << 24
)

// An examination looks through the files before the server does. That takes a damaged
// record for the end of its file, and cuts off what follows; so what is damaged is set
// aside, and its place is marked as that of an entry that was deleted.
type examination struct {
	dir    string
	aside  string // the directory for what is damaged; empty: there is none yet
	damage []string
}

// examine returns what is damaged, for people.
func examine(dir string, n names) ([]string, error) {
	_, err := os.Stat(filepath.Join(dir, cleanFile))
	clean := err == nil
	if err := os.Remove(filepath.Join(dir, cleanFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("note that the directory is in use: %w", err)
	}
	// That stream is made last: with it there have been all.
	_, err = os.Stat(streamDir(dir, n.aliveStream()))
	used := clean || err == nil
	x := &examination{dir: dir}
	for j := range queue.Journals {
		if err := x.journal(j, n.stream(j), used, clean); err != nil {
			return x.damage, fmt.Errorf("look through %s: %w", j, err)
		}
	}
	return x.damage, nil
}

func (x *examination) journal(j queue.Journal, stream string, used, clean bool) error {
	dir := streamDir(x.dir, stream)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if used {
			x.found("%s: all of it is lost: there is no directory %s", j, stream)
		}
		return nil
	}
	if metaDamaged(dir, stream) {
		if err := x.moveAside(stream, dir, "meta.inf", "meta.sum"); err != nil {
			return err
		}
		x.found("%s: its description was damaged, and is set aside in %s; no entries are lost by that", j, filepath.Base(x.aside))
	}
	blocks, err := blockFiles(dir)
	if err != nil {
		return err
	}
	if len(blocks) == 0 {
		x.found("%s: all of it is lost: there are no files in %s", j, filepath.Join(stream, "msgs"))
		return nil
	}
	if blocks, err = x.withoutEmpty(j, stream, blocks); err != nil {
		return err
	}
	read, repaired := 0, false
	deleted := map[uint64]bool{}
	for i := range blocks {
		b, last := &blocks[i], i == len(blocks)-1
		if clean && read > cleanBytes && !last {
			continue
		}
		fixed, err := x.block(j, stream, b, last, deleted)
		if err != nil {
			return err
		}
		read += b.size
		repaired = repaired || fixed
	}
	if err := x.gaps(j, stream, blocks, deleted); err != nil || !repaired {
		return err
	}
	// The index has sums of what is changed now: the server makes it anew.
	if err := os.Remove(filepath.Join(dir, "msgs", "index.db")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// withoutEmpty sets aside files that have lost all they had. The newest one may be new.
func (x *examination) withoutEmpty(j queue.Journal, stream string, blocks []block) ([]block, error) {
	var left []block
	for i, b := range blocks {
		info, err := os.Stat(b.path)
		if err != nil {
			return nil, err
		}
		if info.Size() > 0 || i == len(blocks)-1 {
			left = append(left, b)
			continue
		}
		if err := x.moveAside(stream, filepath.Dir(b.path), filepath.Base(b.path)); err != nil {
			return nil, err
		}
		x.found("%s: entries before those in %s are lost: %s is empty", j, filepath.Base(blocks[i+1].path), filepath.Base(b.path))
	}
	return left, nil
}

// block looks through one file, and repairs it.
func (x *examination) block(j queue.Journal, stream string, b *block, last bool, deleted map[uint64]bool) (repaired bool, err error) {
	data, err := os.ReadFile(b.path)
	if err != nil {
		return false, err
	}
	s, err := newScanner(stream, b.number)
	if err != nil {
		return false, err
	}
	b.scan(s, data)
	for pos := range b.marks(data) {
		deleted[pos] = true
	}
	for _, h := range b.holes {
		if err := x.save(stream, b, data[h.from:h.to], h); err != nil {
			return false, err
		}
		x.found("%s: %s; its bytes are set aside in %s", j, h.describe(b, last), filepath.Base(x.aside))
		// A block that ends there the server cuts by itself.
		if h.to-h.from >= recordHead+recordSum && (h.after > 0 || h.before > 0 && !last) {
			s.fill(data, h)
			repaired = true
		}
	}
	if !repaired {
		return false, nil
	}
	return true, replaceFile(b.path, data)
}

func (h hole) describe(b *block, last bool) string {
	where := fmt.Sprintf("%s is damaged at byte %d (%d bytes)", filepath.Base(b.path), h.from, h.to-h.from)
	switch {
	case h.after > h.before+2 && h.before > 0:
		return fmt.Sprintf("entries %d to %d are lost: %s", h.before+1, h.after-1, where)
	case h.after > 0 && h.before > 0:
		return fmt.Sprintf("entry %d is lost: %s", h.before+1, where)
	case h.after > 0:
		return fmt.Sprintf("entries before %d are lost: %s", h.after, where)
	case last:
		return fmt.Sprintf("what was written last, after entry %d, is incomplete or damaged: %s", h.before, where)
	}
	return fmt.Sprintf("entries after %d are lost: %s", h.before, where)
}

// marks returns the positions that records say were deleted elsewhere.
func (b *block) marks(data []byte) map[uint64]bool {
	marks := map[uint64]bool{}
	holes := b.holes
	for at := 0; at < len(data); {
		if len(holes) > 0 && at == holes[0].from {
			at, holes = holes[0].to, holes[1:]
			continue
		}
		if pos := binary.LittleEndian.Uint64(data[at+4:]); pos&deletedAway != 0 {
			marks[pos&^(deletedAway|deletedHere)] = true
		}
		at += int(binary.LittleEndian.Uint32(data[at:]) &^ headersBit)
	}
	return marks
}

// gaps finds files that are gone from between others. It says so once: a note of it is
// put where damaged things are.
func (x *examination) gaps(j queue.Journal, stream string, blocks []block, deleted map[uint64]bool) error {
	for i := 1; i < len(blocks); i++ {
		a, b := &blocks[i-1], &blocks[i]
		if b.number == a.number+1 || a.last == 0 || b.first == 0 || b.first-a.last > mostPositions {
			continue
		}
		lost := 0
		for pos := a.last + 1; pos < b.first; pos++ {
			if !deleted[pos] {
				lost++
			}
		}
		note := fmt.Sprintf("%s-%d.blk-is-missing", stream, a.number+1)
		noted, err := filepath.Glob(filepath.Join(escapeGlob(x.dir), "damaged-*", note))
		if err != nil {
			return err
		}
		if lost == 0 || len(noted) > 0 {
			continue
		}
		if err := x.open(); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(x.aside, note), nil, 0o600); err != nil {
			return fmt.Errorf("note what is missing: %w", err)
		}
		x.found("%s: %d entries from %d to %d are lost: %d.blk is missing", j, lost, a.last+1, b.first-1, a.number+1)
	}
	return nil
}

func (x *examination) found(format string, args ...any) {
	x.damage = append(x.damage, fmt.Sprintf(format, args...))
}

// open makes the directory that damaged things go to.
func (x *examination) open() error {
	for n := 1; x.aside == ""; n++ {
		dir := filepath.Join(x.dir, fmt.Sprintf("damaged-%d", n))
		err := os.Mkdir(dir, 0o700)
		if err == nil {
			x.aside = dir
		} else if !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("set aside what is damaged: %w", err)
		}
	}
	return nil
}

func (x *examination) save(stream string, b *block, data []byte, h hole) error {
	if err := x.open(); err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%s-at-%d", stream, filepath.Base(b.path), h.from)
	if err := os.WriteFile(filepath.Join(x.aside, name), data, 0o600); err != nil {
		return fmt.Errorf("set aside what is damaged: %w", err)
	}
	return nil
}

// moveAside moves files, if they are there.
func (x *examination) moveAside(stream, dir string, files ...string) error {
	if err := x.open(); err != nil {
		return err
	}
	for _, name := range files {
		from := filepath.Join(dir, name)
		to := filepath.Join(x.aside, stream+"-"+name)
		if err := os.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("set aside what is damaged: %w", err)
		}
	}
	return nil
}

// replaceFile has the file either with its old or with its new content, whatever happens.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".repair-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// markClean notes that the directory was closed as it should be. Without room for that,
// the next start takes longer.
func markClean(dir string) {
	_ = os.WriteFile(filepath.Join(dir, cleanFile), nil, 0o600)
}
