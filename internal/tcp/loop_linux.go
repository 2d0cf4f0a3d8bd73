package tcp

import (
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lookTime is how often a loop looks for deadlines that have passed, at least.
	lookTime = 20 * time.Millisecond
	// readyAtOnce is how many connections the kernel tells of at a time, at most.
	readyAtOnce = 256
)

// A loop waits for all its connections at once, and resumes who waits for one on which
// something has happened. Its goroutine runs as long as there are connections.
type loop struct {
	mu      sync.Mutex
	running bool
	epoll   int     // while it runs
	conns   []*Conn // by the number that the kernel has; nil: the number is free
	free    []int32
	due     time.Time // no deadline of who waits is before it

	resuming bool    // tasks are being resumed
	asks     []*Conn // whose requests are to be written after that
	written  []*Conn // was asks before, and has its memory
}

// add makes the loop watch a connection for such events. The kernel tells of each once: who
// waits has tried before, and tries again when resumed.
func (l *loop) add(c *Conn, events uint32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.startLocked(); err != nil {
		return err
	}
	if len(l.free) == 0 {
		l.free = append(l.free, int32(len(l.conns)))
		l.conns = append(l.conns, nil)
	}
	number := l.free[len(l.free)-1]
	if err := l.controlLocked(unix.EPOLL_CTL_ADD, c.fd, number, events); err != nil {
		return err
	}
	l.free = l.free[:len(l.free)-1]
	l.conns[number] = c
	c.watch = watch{loop: l, number: number, events: events}
	return nil
}

// watchFor makes the loop watch a connection that it has for further events.
func (l *loop) watchFor(c *Conn, events uint32) error {
	w := &c.watch
	if w.events|events == w.events {
		return nil
	}
	w.events |= events
	return l.controlLocked(unix.EPOLL_CTL_MOD, c.fd, w.number, w.events)
}

func (l *loop) controlLocked(op, fd int, number int32, events uint32) error {
	event := unix.EpollEvent{Events: events | unix.EPOLLRDHUP | unix.EPOLLET, Fd: number}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.epoll, op, fd, &event))
}

// remove ends that. Nobody may wait for the connection.
func (l *loop) remove(c *Conn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c.watch.number] = nil
	l.free = append(l.free, c.watch.number)
	c.watch = watch{}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, c.fd, nil))
}

func (l *loop) startLocked() (err error) {
	if l.running {
		return nil
	}
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	l.running = true
	go l.run()
	return nil
}

// run is the loop's goroutine.
func (l *loop) run() {
	events := make([]unix.EpollEvent, readyAtOnce)
	tasks := make([]Task, 0, readyAtOnce)
	patience := lookTime
	if runtime.GOMAXPROCS(0) == 1 {
		patience = time.Millisecond // nobody else runs while it waits
	}
	for yielded := time.Now(); ; {
		n, err := unix.EpollWait(l.epoll, events, int(patience.Milliseconds()))
		if err != nil { // it was interrupted
			n = 0
		}
		now := time.Now()
		var more bool
		if tasks, more = l.take(tasks[:0], events[:n], now); !more {
			return
		}
		for _, t := range tasks {
			t.Resume()
		}
		clear(tasks)
		for l.writeAsks() {
		}
		if now.Sub(yielded) >= yieldTime {
			yielded = now
			runtime.Gosched()
		}
	}
}

// take appends to tasks who is to be resumed. It reports whether the loop goes on.
func (l *loop) take(tasks []Task, events []unix.EpollEvent, now time.Time) ([]Task, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.free) == len(l.conns) {
		l.running = false
		unix.Close(l.epoll)
		return tasks, false
	}
	for i := range events {
		c := l.conns[events[i].Fd] // or one that has got its number since: it will look, and wait again
		switch {
		case c == nil:
		case c.watch.waits == nil:
			c.watch.happened = true
		default:
			tasks = append(tasks, c.watch.takeLocked())
		}
	}
	if !l.due.IsZero() && !now.Before(l.due) {
		tasks = l.takeLateLocked(tasks, now)
	}
	l.resuming = true
	return tasks, true
}

// ask has the request of a connection written, whose task has just been suspended. While
// other tasks are resumed it waits for these: a server then gets one request after the
// other, and need not be woken for each.
func (l *loop) ask(c *Conn) {
	l.mu.Lock()
	waits := l.resuming
	if waits {
		l.asks = append(l.asks, c)
	}
	l.mu.Unlock()
	if !waits {
		c.flush()
	}
}

// writeAsks writes the requests that wait, and reports whether there were some.
func (l *loop) writeAsks() bool {
	l.mu.Lock()
	asks := l.asks
	l.asks, l.written = l.written[:0], asks
	l.resuming = len(asks) > 0
	l.mu.Unlock()
	for i, c := range asks {
		asks[i] = nil
		c.flush()
	}
	return len(asks) > 0
}

// takeLateLocked appends those whose deadline has passed.
func (l *loop) takeLateLocked(tasks []Task, now time.Time) []Task {
	l.due = time.Time{}
	for _, c := range l.conns {
		switch {
		case c == nil || c.watch.waits == nil:
		case !now.Before(c.watch.end):
			tasks = append(tasks, c.watch.takeLocked())
		default:
			l.dueLocked(c.watch.end)
		}
	}
	if next := now.Add(lookTime / 4); !l.due.IsZero() && l.due.Before(next) {
		l.due = next // they are not looked through for each that is late
	}
	return tasks
}

func (l *loop) dueLocked(end time.Time) {
	if l.due.IsZero() || end.Before(l.due) {
		l.due = end
	}
}

// A watch is what the loop of a connection knows of it. The loop's lock guards it, but for
// what the connection says itself.
type watch struct {
	loop     *loop // nil: the connection has none
	number   int32
	events   uint32
	waits    Task      // nil: nobody waits
	end      time.Time // up to when
	happened bool      // something has, while nobody waited
}

func (w *watch) takeLocked() Task {
	t := w.waits
	w.waits = nil
	return t
}

// wait has a task, which has just been suspended, resumed when something happens, or
// has happened meanwhile, or at the given time.
func (w *watch) wait(t Task, end time.Time) {
	l := w.loop
	l.mu.Lock()
	if w.happened {
		w.happened = false
		l.mu.Unlock()
		t.Resume()
		return
	}
	w.waits, w.end = t, end
	l.dueLocked(end)
	l.mu.Unlock()
}
