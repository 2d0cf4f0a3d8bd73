package tcp

import (
	"errors"
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
	// calmCalls is how many calls in a row have to find a place in the kernel until the
	// poller gives their connection back.
	calmCalls = 64
	// smallRequest fits in one segment: there is nothing for Nagle's algorithm to delay.
	smallRequest = 1200
)

// A Conn is a connection. One goroutine at a time may use it, and any may close it.
type Conn struct {
	Hint   Hint // may be changed between calls
	dialer *Dialer
	fd     int
	end    time.Time // the deadline

	// Of a call that waits in the kernel.
	inKernel bool      // it has its place there
	brief    time.Time // up to then it begins to wait there
	read     time.Time // when the last part of a reply had come
	yielded  time.Time // when others last had the processor

	// Of a connection that the poller has: its descriptor does not block.
	file *os.File // nil: it has not; reads block for briefTime
	raw  syscall.RawConn
	call call
	calm int // calls in a row that found a place in the kernel

	limited bool // the descriptor blocks for briefTime at most
	noDelay bool // Nagle's algorithm is off
	used    bool // there was a call

	mu     sync.Mutex // guards what follows, and file against Close
	inUse  bool       // a system call may be under way
	closed bool
}

// A call is one that the poller has.
type call struct {
	attempt        func(fd uintptr) bool // made once: a call allocates nothing
	request, reply []byte
	fresh          bool // it is the first of its connection
	asked, stale   bool
	sent, got      int
	errSend, err   error
}

// Exchange writes the request and waits for the first bytes that come back: see the
// function of that name. If since the last call something has come that nobody asked
// for, nothing is written and the error is [ErrStale].
func (c *Conn) Exchange(request, reply []byte) (int, error) {
	defer c.leaveKernel()
	if err := c.choose(); err != nil {
		return 0, err
	}
	fresh := !c.used
	c.used = true
	if len(request) > smallRequest && !c.noDelay {
		c.noDelay = true
		_ = c.Control(setNoDelay) // without it, it is only late
	}
	if c.file != nil {
		return c.parkedExchange(request, reply, fresh)
	}
	now := time.Now()
	if now.Sub(c.yielded) >= yieldTime {
		c.yielded = now
		runtime.Gosched()
	}
	if !fresh && now.Sub(c.read) >= freshTime {
		stale, err := c.isStale()
		if err != nil {
			return 0, err
		}
		if stale {
			return 0, ErrStale
		}
	}
	_, err := c.Write(request)
	if c.Hint.Parts {
		_ = c.Control(AckAtOnce) // without it, it is only late
	}
	return answer(c, reply, err)
}

// isStale looks for the end, or what nobody has asked for, outside the poller.
func (c *Conn) isStale() (bool, error) {
	if err := c.begin(); err != nil {
		return false, err
	}
	defer c.finish()
	return IsStale(uintptr(c.fd)), nil
}

// choose says where a call waits: in the kernel, or with the poller.
func (c *Conn) choose() error {
	c.enterKernel()
	switch {
	case !c.inKernel && c.file == nil:
		return c.park()
	case !c.inKernel:
		c.calm = 0
		return nil
	case c.file == nil:
		return nil
	}
	if c.calm++; c.calm < calmCalls {
		c.leaveKernel()
		return nil
	}
	return c.unpark()
}

// enterKernel takes a place for a call of a quick server, if there is one and the
// deadline is not near: the kernel knows nothing of it.
func (c *Conn) enterKernel() {
	if !c.Hint.Quick {
		return
	}
	now := time.Now()
	if c.end.Sub(now) > 2*briefTime && c.dialer.takePlace() {
		c.inKernel, c.brief = true, now.Add(briefTime)
	}
}

func (c *Conn) leaveKernel() {
	if c.inKernel {
		c.inKernel = false
		c.dialer.leavePlace()
	}
}

// block makes the descriptor, which blocks, block for briefTime at most.
func (c *Conn) block() error {
	if c.limited {
		return nil
	}
	brief := unix.NsecToTimeval(briefTime.Nanoseconds())
	err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &brief)
	if err == nil {
		err = unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &brief)
	}
	c.limited = err == nil
	return os.NewSyscallError("setsockopt", err)
}

// park gives the connection to the poller.
func (c *Conn) park() error {
	c.leaveKernel()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	if c.limited { // it blocks
		if err := unix.SetNonblock(c.fd, true); err != nil {
			return os.NewSyscallError("fcntl", err)
		}
	}
	c.file = os.NewFile(uintptr(c.fd), "")
	c.calm = 0
	if c.call.attempt == nil {
		c.call.attempt = c.attempt
	}
	var err error
	if c.raw, err = c.file.SyscallConn(); err == nil {
		err = c.file.SetDeadline(c.end)
	}
	return err
}

// unpark takes the connection back from the poller. For want of a descriptor it stays.
func (c *Conn) unpark() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calm = 0
	if c.closed {
		return net.ErrClosed
	}
	fd, err := unix.FcntlInt(uintptr(c.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		c.leaveKernel()
		return nil
	}
	c.file.Close()
	c.file, c.raw, c.fd = nil, nil, fd
	if err := c.block(); err != nil {
		return err
	}
	return os.NewSyscallError("fcntl", unix.SetNonblock(fd, false))
}

// begin and finish stand around system calls on a descriptor that the poller has not:
// it must not be closed, and given to another connection, during them.
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
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inUse = false
	if c.closed {
		unix.Close(c.fd)
	}
}

// parkedExchange waits with the poller. It looks and writes when the poller has already
// been told to watch out for the reply: no end goes unseen, and no read is tried in vain.
func (c *Conn) parkedExchange(request, reply []byte, fresh bool) (int, error) {
	c.call.request, c.call.reply = request, reply
	c.call.fresh, c.call.asked, c.call.stale = fresh, false, false
	err := c.plain(c.raw.Read(c.call.attempt))
	c.call.request, c.call.reply = nil, nil
	switch {
	case err != nil:
		return 0, err
	case c.call.stale:
		return 0, ErrStale
	case c.call.errSend != nil:
		return answer(c, reply, c.call.errSend)
	case c.call.sent < len(request):
		_, err = c.Write(request[c.call.sent:])
		return answer(c, reply, err)
	default:
		return c.call.got, endOf(c.call.got, c.call.err)
	}
}

// attempt is called with the descriptor: at once, and when there is something to read.
func (c *Conn) attempt(fd uintptr) (done bool) {
	call := &c.call
	if call.asked {
		call.got, call.err = receive(int(fd), call.reply)
		return !isErrno(call.err, unix.EAGAIN)
	}
	call.asked = true
	if call.stale = !call.fresh && IsStale(fd); call.stale {
		return true
	}
	call.sent, call.errSend = send(int(fd), call.request)
	if c.Hint.Parts {
		AckAtOnce(fd)
	}
	return call.errSend != nil || call.sent < len(call.request)
}

// Read implements [io.Reader].
func (c *Conn) Read(p []byte) (int, error) {
	defer c.leaveKernel()
	if c.file == nil && !c.inKernel {
		c.enterKernel() // for a further part
	}
	if c.file == nil && c.inKernel && time.Now().Before(c.brief) {
		if err := c.begin(); err != nil {
			return 0, err
		}
		n, err := receive(c.fd, p)
		c.finish()
		c.read = time.Now()
		if !isErrno(err, unix.EAGAIN) {
			return n, endOf(n, err)
		}
	}
	if c.file == nil {
		if err := c.park(); err != nil {
			return 0, err
		}
	}
	n, err := c.file.Read(p)
	return n, c.plain(err)
}

// Write implements [io.Writer].
func (c *Conn) Write(p []byte) (int, error) {
	sent := 0
	if c.file == nil {
		if err := c.begin(); err != nil {
			return 0, err
		}
		var err error
		sent, err = send(c.fd, p)
		c.finish()
		if err != nil || sent == len(p) {
			return sent, err
		}
		if err := c.park(); err != nil {
			return sent, err
		}
	}
	n, err := c.file.Write(p[sent:])
	return sent + n, c.plain(err)
}

// SetDeadline says up to when reads and writes may wait. It is to be set before each
// call.
func (c *Conn) SetDeadline(end time.Time) error {
	c.end = end
	if c.file == nil {
		return nil
	}
	return c.plain(c.file.SetDeadline(end))
}

// Control calls f with the descriptor.
func (c *Conn) Control(f func(fd uintptr)) error {
	if c.file != nil {
		return c.plain(c.raw.Control(f))
	}
	if err := c.begin(); err != nil {
		return err
	}
	defer c.finish()
	f(uintptr(c.fd))
	return nil
}

// Close closes the connection. Who waits for it returns at once.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	switch {
	case c.file != nil:
		return c.file.Close()
	case c.inUse:
		return os.NewSyscallError("shutdown", unix.Shutdown(c.fd, unix.SHUT_RDWR)) // finish closes it
	default:
		return os.NewSyscallError("close", unix.Close(c.fd))
	}
}

func (c *Conn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func setNoDelay(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) }

// AckAtOnce makes the kernel acknowledge at once what has come over a socket, and what
// comes next. It is no setting that stays: the kernel goes back to waiting.
func AckAtOnce(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) }

// send writes as much as there is room for. Package syscall, not unix: what one end has
// written happened before the other reads it, as the race detector knows from there.
func send(fd int, p []byte) (int, error) {
	n, err := syscall.Write(fd, p)
	if err == syscall.EAGAIN || err == syscall.EINTR {
		err = nil
	}
	return max(n, 0), os.NewSyscallError("write", err)
}

// receive reads what has come.
func receive(fd int, p []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, p)
		if err != syscall.EINTR {
			return max(n, 0), os.NewSyscallError("read", err)
		}
	}
}

// endOf returns io.EOF for a read that gave nothing.
func endOf(n int, err error) error {
	if n == 0 && err == nil {
		return io.EOF
	}
	return err
}

func isErrno(err error, errno syscall.Errno) bool {
	got, ok := errors.AsType[syscall.Errno](err)
	return ok && got == errno
}

// plain returns an error of package os as one of package net would be.
func (c *Conn) plain(err error) error {
	switch path, ok := errors.AsType[*os.PathError](err); {
	case err == nil:
		return nil
	case c.isClosed():
		return net.ErrClosed
	case ok:
		return path.Err
	default:
		return err
	}
}
