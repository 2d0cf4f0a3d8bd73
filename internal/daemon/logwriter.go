package daemon

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxLogLines is how many lines wait for whoever reads the log. Beyond that
	// lines are lost, and counted.
	maxLogLines = 1024
	// logPatience is how long the end of the daemon waits for them to be read.
	logPatience = time.Second
)

// A logWriter writes lines to where writing can block: a pipe that nobody reads,
// a terminal that is stopped. Who logs never waits for that.
type logWriter struct {
	to    io.WriteCloser
	lost  atomic.Uint64
	ended chan struct{} // closed when the last line is written and to is closed

	mu     sync.Mutex
	lines  chan []byte
	closed bool
}

func newLogWriter(to io.WriteCloser) *logWriter {
	w := &logWriter{to: to, lines: make(chan []byte, maxLogLines), ended: make(chan struct{})}
	go w.run() // until Close
	return w
}

func (w *logWriter) run() {
	defer close(w.ended)
	for line := range w.lines {
		if n := w.lost.Swap(0); n > 0 {
			fmt.Fprintf(w.to, "level=WARN msg=\"the log was not read: lines are lost\" lines=%d\n", n)
		}
		_, _ = w.to.Write(line) // where could its error be logged?
	}
	w.to.Close()
}

// Write implements [io.Writer]: one line.
func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return len(line), nil
	}
	select {
	case w.lines <- append([]byte(nil), line...):
	default:
		w.lost.Add(1)
	}
	return len(line), nil
}

// close writes the lines that wait and closes what they go to. If nobody reads
// them it gives up, and there is nobody to be told.
func (w *logWriter) close() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.lines)
	}
	w.mu.Unlock()
	patience := time.NewTimer(logPatience)
	defer patience.Stop()
	select {
	case <-w.ended:
	case <-patience.C:
	}
}
