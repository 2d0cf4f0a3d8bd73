package tcp

import (
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// briefTime is how long a call waits in the kernel, about. It is longer than the
	// pauses that a busy machine makes.
	briefTime = 20 * time.Millisecond
	// yieldTime is how long a goroutine makes calls that wait in the kernel until it
	// lets others have its processor. After 10 ms Go would take it away, and then be busy
	// with watching for a while.
	yieldTime = 2 * time.Millisecond
	// freshTime is how long after a reply nobody looks in the kernel whether something
	// else has come: hardly anything can have, and the end of the connection is found by
	// the next read as well.
	freshTime = 10 * time.Microsecond
	// calmCalls is how many calls in a row have to be alone until those of their
	// connection wait in the kernel again.
	calmCalls = 64
	// smallRequest fits in one segment: there is nothing for Nagle's algorithm to delay.
	smallRequest = 1200
)

// A Conn is a connection. One task at a time may use it, and anybody may close it.
type Conn struct {
	Hint Hint // may be changed between calls
	Task Task // who calls: may be changed, too; nil: who does is blocked while it waits

	dialer *Dialer
	fd     int
	end    time.Time // the deadline
	quick  bool      // the dialer counts the call under way

	// The descriptor blocks, for a brief time at most, or else has a loop when it has to wait.
	blocks  bool
	limited bool   // to that time, when it blocks
	calm    int    // with a loop: calls in a row that were alone
	watch   watch  // by the loop
	request []byte // that the loop is to write
	sent    int    // how much of it was written
	waiter  waiter // for want of a Task; nil: there was one
	suspend func() // these two are made once: to wait allocates nothing
	ask     func()

	noDelay bool      // Nagle's algorithm is off
	used    bool      // there was a call
	read    time.Time // when the last part of a reply had come
	yielded time.Time // blocks: when others last had the processor

	mu     sync.Mutex // guards what follows
	inUse  bool       // the descriptor is not to be closed now
	closed bool
}

// Exchange writes the request and waits for the first bytes that come back: see the
// function of that name. If since the last call something has come that nobody asked
// for, nothing is written and the error is [ErrStale].
func (c *Conn) Exchange(request, reply []byte) (int, error) {
	if err := c.begin(); err != nil {
		return 0, err
	}
	defer c.finish()
	if err := c.choose(); err != nil {
		return 0, c.plain(err)
	}
	if c.used && c.isStale() {
		return 0, ErrStale
	}
	c.used = true
	if len(request) > smallRequest && !c.noDelay {
		c.noDelay = true
		_ = unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // without it, it is only late
	}
	if !c.blocks {
		return c.exchangeLater(request, reply)
	}
	_, errWrite := c.write(request)
	if c.Hint.Parts {
		AckAtOnce(uintptr(c.fd))
	}
	return c.answer(reply, errWrite)
}

// answer reads what came back for a request.
func (c *Conn) answer(reply []byte, errWrite error) (int, error) {
	n, err := c.receive(reply)
	if n == 0 && errWrite != nil {
		err = errWrite
	}
	return n, c.plain(err)
}

// exchangeLater is suspended until the loop has written the request and the reply has come.
func (c *Conn) exchangeLater(request, reply []byte) (int, error) {
	c.request, c.sent = request, 0
	if c.ask == nil {
		c.ask = func() { c.watch.loop.ask(c) }
	}
	c.task().Suspend(c.ask)
	c.request = nil
	var err error
	if rest := request[c.sent:]; len(rest) > 0 {
		if _, err = c.write(rest); err == nil {
			err = c.wait()
		}
	}
	return c.answer(reply, err)
}

// flush writes the request, and has the task, which is suspended, resumed when the reply comes;
// at once if not all could be written.
func (c *Conn) flush() {
	n, _ := syscall.Write(c.fd, c.request) // an error comes again
	c.sent = max(n, 0)
	if c.Hint.Parts {
		AckAtOnce(uintptr(c.fd))
	}
	if c.sent < len(c.request) {
		c.task().Resume()
		return
	}
	c.watch.wait(c.task(), c.end)
}

// choose says where a call waits. That of a quick server does in the kernel if it is alone,
// and its deadline, of which the kernel knows nothing, not near.
func (c *Conn) choose() error {
	now := time.Now()
	switch {
	case !now.Before(c.end):
		return os.ErrDeadlineExceeded
	case !c.isAlone(now):
		c.calm = 0
		return c.join(unix.EPOLLIN)
	case c.blocks:
		c.task().Own()
	case c.watch.loop != nil && c.calm < calmCalls:
		c.calm++
		return nil
	default:
		if err := c.block(); err != nil {
			return err
		}
	}
	if now.Sub(c.yielded) >= yieldTime {
		c.yielded = now
		runtime.Gosched()
	}
	return nil
}

// isAlone counts the call if it is of a quick server, and reports whether it may wait in the
// kernel.
func (c *Conn) isAlone(now time.Time) bool {
	if !c.Hint.Quick {
		return false
	}
	c.quick = true
	return c.dialer.quick.Add(1) <= c.dialer.places && c.end.Sub(now) > 2*c.dialer.brief
}

// notQuick ends the count.
func (c *Conn) notQuick() {
	if c.quick {
		c.quick = false
		c.dialer.quick.Add(-1)
	}
}

// block makes the descriptor block, for a brief time at most.
func (c *Conn) block() error {
	c.task().Own()
	if c.watch.loop != nil {
		if err := c.watch.loop.remove(c); err != nil {
			return err
		}
	}
	if !c.limited {
		brief := unix.NsecToTimeval(c.dialer.brief.Nanoseconds())
		for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
			if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, option, &brief); err != nil {
				return os.NewSyscallError("setsockopt", err)
			}
		}
		c.limited = true
	}
	c.blocks = true
	return os.NewSyscallError("fcntl", unix.SetNonblock(c.fd, false))
}

// join makes a loop watch the connection for such events, from now on.
func (c *Conn) join(events uint32) error {
	if c.blocks {
		c.notQuick()
		c.blocks = false
		if err := unix.SetNonblock(c.fd, true); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
	}
	if c.watch.loop == nil {
		c.calm = 0
		return c.dialer.loop().add(c, events)
	}
	return c.watch.loop.watchFor(c, events)
}

// task is who waits.
func (c *Conn) task() Task {
	if c.Task != nil {
		return c.Task
	}
	if c.waiter == nil {
		c.waiter = newWaiter()
	}
	return c.waiter
}

// await returns when it is worth another try of what could not be done at once.
func (c *Conn) await(events uint32) error {
	blocked := c.blocks // for a while: long enough
	if err := c.join(events); err != nil || blocked {
		return err
	}
	return c.wait()
}

// wait returns when something has happened, maybe to another connection, or the deadline has
// passed.
func (c *Conn) wait() error {
	if !time.Now().Before(c.end) {
		return os.ErrDeadlineExceeded
	}
	if c.suspend == nil {
		c.suspend = func() { c.watch.wait(c.task(), c.end) }
	}
	c.task().Suspend(c.suspend)
	return nil
}

// isStale looks for the end, or what nobody has asked for.
func (c *Conn) isStale() bool { return time.Since(c.read) >= freshTime && IsStale(uintptr(c.fd)) }

// receive reads what comes next.
func (c *Conn) receive(p []byte) (int, error) {
	for {
		if c.blocks && time.Until(c.end) <= 2*c.dialer.brief {
			if err := c.join(unix.EPOLLIN); err != nil {
				return 0, err
			}
		}
		// Package syscall, not unix: what one end has written happened before the other reads
		// it, as the race detector knows from there.
		n, err := syscall.Read(c.fd, p)
		switch {
		case err == syscall.EINTR:
			continue
		case err != syscall.EAGAIN:
			c.read = time.Now()
			return max(n, 0), endOf(n, os.NewSyscallError("read", err))
		}
		if err := c.await(unix.EPOLLIN); err != nil {
			return 0, err
		}
	}
}

// write writes all of p.
func (c *Conn) write(p []byte) (int, error) {
	for sent := 0; ; {
		n, err := syscall.Write(c.fd, p[sent:])
		sent += max(n, 0)
		switch {
		case sent == len(p):
			return sent, nil
		case err == syscall.EINTR || n > 0:
			continue
		case err != syscall.EAGAIN:
			return sent, os.NewSyscallError("write", err)
		}
		if err := c.await(unix.EPOLLIN | unix.EPOLLOUT); err != nil {
			return sent, err
		}
	}
}

// Read implements [io.Reader], for the further parts of a reply.
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.begin(); err != nil {
		return 0, err
	}
	defer c.finish()
	n, err := c.receive(p)
	return n, c.plain(err)
}

// Write implements [io.Writer].
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.begin(); err != nil {
		return 0, err
	}
	defer c.finish()
	n, err := c.write(p)
	return n, c.plain(err)
}

// SetDeadline says up to when calls, reads and writes may wait, about. It is to be set
// before each call.
func (c *Conn) SetDeadline(end time.Time) error {
	c.end = end
	return nil
}

// Control calls f with the descriptor.
func (c *Conn) Control(f func(fd uintptr)) error {
	if err := c.begin(); err != nil {
		return err
	}
	defer c.finish()
	f(uintptr(c.fd))
	return nil
}

// begin and finish stand around what uses the descriptor: it must not be closed, and given
// to another connection, meanwhile.
func (c *Conn) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.inUse = true
	return nil
}

func (c *Conn) finish() {
	c.notQuick()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inUse = false
	if c.closed {
		_ = c.closeLocked() // who has called Close is gone
	}
}

// Close closes the connection. Who waits for it returns at once.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	if c.inUse {
		_ = unix.Shutdown(c.fd, unix.SHUT_RDWR) // wakes who waits; finish closes it
		return nil
	}
	return c.closeLocked()
}

func (c *Conn) closeLocked() error {
	if c.watch.loop != nil {
		_ = c.watch.loop.remove(c) // closing removes it as well
	}
	return os.NewSyscallError("close", unix.Close(c.fd))
}

func (c *Conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// plain says so if it is because the connection was closed that something did not work.
func (c *Conn) plain(err error) error {
	if err != nil && c.isClosed() {
		return net.ErrClosed
	}
	return err
}

// AckAtOnce makes the kernel acknowledge at once what has come over a socket, and what
// comes next. It is no setting that stays: the kernel goes back to waiting.
func AckAtOnce(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) }

// endOf returns io.EOF for a read that gave nothing.
func endOf(n int, err error) error {
	if n == 0 && err == nil {
		return io.EOF
	}
	return err
}
