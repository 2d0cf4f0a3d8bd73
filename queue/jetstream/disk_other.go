//go:build !linux

package jetstream

import (
	"errors"
	"os"
)

var errLocked = errors.New("locked")

// tryLock locks nothing: on this system nobody sees to it that one evid alone uses a
// directory.
func tryLock(*os.File) error { return nil }

func freeBytes(string) (uint64, error) { return 1 << 62, nil }

// There is no reserve: nobody learns when a disk is full.
func fileBlocks(string) (size, blocks uint64, err error) { return 0, 0, errors.ErrUnsupported }

func allocate(*os.File, int64) error { return errors.ErrUnsupported }

func isFull(error) bool { return false }
