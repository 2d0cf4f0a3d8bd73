package delivery

import (
	"math"
	"syscall"
	"time"
)

const (
	// scarcityPause is how long a lane waits that found nothing to connect with.
	scarcityPause = 100 * time.Millisecond
	// scarcityInterval is the time between two lines about that in the log.
	scarcityInterval = time.Minute
	// reservedFiles are left for what else the process opens: MI, logs, the disk.
	reservedFiles = 400
)

// defaultMaxConnections is as many as the process may have files, but for those
// that are reserved. Go has raised the limit as far as it may.
func defaultMaxConnections() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return max(int(limit.Cur)-reservedFiles, int(limit.Cur)/2)
}

// scarceLocked is told that a lane has to wait for a file descriptor. The longest
// idle connection closes, and the lane tries again; nobody is to blame.
func (e *Engine) scarceLocked(l *lane) {
	if longest := e.idle.first; longest != nil {
		longest.disconnectLocked()
	}
	l.stallLocked()
	if now := e.now(); now-e.scarcity >= scarcityInterval {
		e.scarcity = now
		e.log.Error("too few file descriptors for so many destinations: raise the limit of open files",
			"destinations", len(e.lanes), "connected", e.connected, "most", e.maxConnections)
	}
}
