package jetstream

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	lockFile  = "lock"
	probeFile = "probe"
)

// A lock is the right to use a directory. The kernel takes it back when the process
// ends, however it ends.
type lock struct {
	file *os.File
}

// takeLock makes the directory, if there is none, and locks it.
func takeLock(dir string) (*lock, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the directory: %w", err)
	}
	if err := tryLock(f); err != nil {
		defer f.Close()
		if !errors.Is(err, errLocked) {
			return nil, fmt.Errorf("lock the directory: %w", err)
		}
		return nil, fmt.Errorf("%w%s", ErrInUse, holder(f))
	}
	// Without room for it the lock holds all the same: nobody learns who has it.
	_ = f.Truncate(0)
	_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return &lock{f}, nil
}

// makeDir makes the directory and its parents: what is kept there is nobody else's.
func makeDir(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		return nil
	}
	if info, errStat := os.Stat(dir); errStat == nil && !info.IsDir() {
		return errors.New("expected a directory, it is a file")
	}
	var path *fs.PathError
	if errors.As(err, &path) && path.Path != dir {
		return fmt.Errorf("make its parent: %w", err)
	}
	return fmt.Errorf("make the directory: %w", err)
}

// holder says who has the lock, if it wrote that down.
func holder(f *os.File) string {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 32))
	pid := strings.TrimSpace(string(text))
	if err != nil || pid == "" {
		return ""
	}
	return fmt.Sprintf(" (process %s)", pid)
}

// isThere reports whether the lock is still where it was taken, or cannot be looked at.
func (l *lock) isThere() bool {
	mine, err := l.file.Stat()
	if err != nil {
		return true
	}
	now, err := os.Stat(l.file.Name())
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	return os.SameFile(mine, now)
}

func (l *lock) release() { l.file.Close() }

// probeDisk writes to the directory and waits until the disk has it.
func probeDisk(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, probeFile), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("evid\n"), 0); err != nil {
		return err
	}
	return f.Sync()
}
