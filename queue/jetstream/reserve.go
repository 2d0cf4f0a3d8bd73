package jetstream

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
)

// A reserve is room on the disk that is kept for when it is full. Nothing of the event
// log can be thrown away before it is saved who has had what, and to save that takes room.
// So when the disk is full the reserve is given up, and no more events are taken until
// there is room for it again.
//
// It is a file. One that was given up is still there, as long as it was, without any
// blocks: after a restart it is known that there is room to be made.
type reserve struct {
	path string
	size uint64 // that it has to have; 0: there is none, as the disk is too small for that
	held atomic.Bool
}

const (
	reserveFile = "reserve"
	// leastReserve is enough for saves: the server lets the file of the state grow to 2 MB
	// before it writes it anew.
	leastReserve = 4 << 20
	// mostReserve is two of the server's files: as many dead letters can be saved as are
	// made of the events in one of them, which frees that one.
	mostReserve = 16 << 20
	// ampleRoom is how many times its size must be free to make a reserve.
	ampleRoom = 4
)

// openReserve finds the reserve, or makes one if there is ample room.
func openReserve(dir string) (*reserve, error) {
	r := &reserve{path: filepath.Join(dir, reserveFile)}
	size, blocks, err := fileBlocks(r.path)
	switch {
	case err == nil:
		r.size = min(max(size, leastReserve), mostReserve)
		r.held.Store(blocks >= r.size)
		return r, nil
	case errors.Is(err, errors.ErrUnsupported):
		return r, nil
	case !errors.Is(err, fs.ErrNotExist):
		return r, fmt.Errorf("look at the reserve: %w", err)
	}
	free, err := freeBytes(dir)
	if err != nil {
		return r, fmt.Errorf("ask for the room in %s: %w", dir, err)
	}
	if free < ampleRoom*leastReserve {
		return r, nil
	}
	r.size = min(max(free/8, leastReserve), mostReserve)
	if err := r.take(); err != nil {
		r.size = 0
		return r, errors.Join(err, os.Remove(r.path))
	}
	return r, nil
}

// missing is the room that has to be made for it.
func (r *reserve) missing() uint64 {
	if r.held.Load() {
		return 0
	}
	return r.size
}

// take takes the room for it. If there is not enough, all is as before.
func (r *reserve) take() error {
	f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("make the reserve: %w", err)
	}
	defer f.Close()
	if err := allocate(f, int64(r.size)); err != nil {
		return errors.Join(fmt.Errorf("make the reserve: %w", err), r.giveUp())
	}
	r.held.Store(true)
	return nil
}

// giveUp leaves the room to others.
func (r *reserve) giveUp() error {
	err := os.Truncate(r.path, 0)
	if err == nil {
		r.held.Store(false)
		err = os.Truncate(r.path, int64(r.size))
	}
	if err != nil {
		return fmt.Errorf("give up the reserve: %w", err)
	}
	return nil
}
