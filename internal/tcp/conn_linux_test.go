package tcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const briefly = briefTime

func aloneDialer() *Dialer   { return newDialer(100) }
func crowdedDialer() *Dialer { return newDialer(0) }

// dropSYNs returns the address of a port that drops each SYN: its queue is full.
func dropSYNs(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(bound.(*unix.SockaddrInet4).Port))
	filler, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { filler.Close() })
	return addr
}

// Dialling ends with its context, also where no answer comes.
func TestDialEnds(t *testing.T) {
	drops := dropSYNs(t)
	eachKind(t, func(t *testing.T, d *Dialer) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*briefly)
		defer cancel()
		_, err := d.Dial(ctx, drops, Hint{Quick: true}, nil)
		var timed net.Error
		if !errors.As(err, &timed) || !timed.Timeout() {
			t.Errorf("got %v, want a timeout", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(2*briefly, cancel)
		if _, err := d.Dial(ctx, drops, Hint{Quick: true}, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	})
}

// A connection has a loop while its calls are not alone, and no longer.
func TestChoose(t *testing.T) {
	d := newDialer(1)
	d.brief = time.Hour // for a machine that is very busy
	addr := serve(t, "tcp", "127.0.0.1:0", echo)
	c := dial(t, d, addr)
	c.SetDeadline(time.Now().Add(24 * time.Hour))
	ask(t, c, "alone")
	if !c.blocks {
		t.Fatal("a call that is alone went through the loop")
	}
	c.Hint.Quick = false
	ask(t, c, "slow")
	if c.blocks {
		t.Fatal("a call of a slow server waited in the kernel")
	}
	c = dial(t, d, addr)
	c.SetDeadline(time.Now().Add(24 * time.Hour))
	d.quick.Add(1) // another call
	ask(t, c, "not alone")
	if c.blocks {
		t.Fatal("a call that is not alone waited in the kernel")
	}
	d.quick.Add(-1)
	for i := range calmCalls {
		ask(t, c, "alone again")
		if c.blocks {
			t.Fatalf("it waited in the kernel after %d calls, want %d", i, calmCalls)
		}
	}
	for range 2 {
		ask(t, c, "and goes on")
		if !c.blocks || c.watch.loop != nil {
			t.Fatal("it does not wait in the kernel")
		}
	}
	if n := d.quick.Load(); n != 0 {
		t.Errorf("%d calls are counted, want none", n)
	}
}

// Who waits long does not count any more: others are alone.
func TestSlowCallIsNotCounted(t *testing.T) {
	d := newDialer(1)
	c := dial(t, d, serve(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		conn.Read(make([]byte, 1))
		for d.quick.Load() > 0 { // until it is not
			runtime.Gosched()
		}
		conn.Write([]byte("x"))
	}))
	ask(t, c, "x")
}

// Whatever goes wrong, no call is counted for good.
func TestEachCountEnds(t *testing.T) {
	d := newDialer(1)
	addr := serve(t, "tcp", "127.0.0.1:0", echo)
	for _, calls := range []int{0, 1, calmCalls} { // with a loop, the last time about to leave it
		c := dial(t, d, addr)
		d.quick.Add(1)
		ask(t, c, "not alone")
		d.quick.Add(-1)
		for range calls {
			ask(t, c, "alone")
		}
		c.Close()
		if _, err := c.Exchange([]byte("x"), make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want %v", err, net.ErrClosed)
		}
		if n := d.quick.Load(); n != 0 {
			t.Errorf("%d calls are counted after %d, want none", n, calls)
		}
	}
}

// Many connections have one loop: each is resumed for itself, and those that wait in vain at
// their deadline. The loop ends with the last of them.
func TestLoop(t *testing.T) {
	d := newDialer(0)
	addr, mute := serve(t, "tcp", "127.0.0.1:0", echo), serve(t, "tcp", "127.0.0.1:0", silent)
	var conns []*Conn
	var done sync.WaitGroup
	for i := range 100 {
		c := dial(t, d, addr)
		conns = append(conns, c)
		done.Go(func() {
			for range 50 {
				request, reply := strconv.Itoa(i), make([]byte, 8)
				if n, err := c.Exchange([]byte(request), reply); err != nil || string(reply[:n]) != request {
					t.Errorf("asked %s, got %q, %v", request, reply[:n], err)
				}
			}
		})
	}
	for i := range 20 {
		c := dial(t, d, mute)
		conns = append(conns, c)
		c.SetDeadline(time.Now().Add(time.Duration(i) * 5 * time.Millisecond))
		done.Go(func() {
			if _, err := c.Exchange([]byte("x"), make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v, want %v", err, os.ErrDeadlineExceeded)
			}
		})
	}
	done.Wait()
	l := &d.loops[0]
	isRunning := func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.running
	}
	if !isRunning() {
		t.Error("the loop has ended, and there are connections")
	}
	for _, c := range conns {
		c.Close()
	}
	for isRunning() {
		runtime.Gosched()
	}
	ask(t, dial(t, d, addr), "it begins again")
}

// A port where nobody listens is refused, also when the kernel connects from it.
func TestSelfConnect(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	itself := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Bind(fd, itself); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, bound); err != nil {
		t.Fatal(err)
	}
	port := uint16(bound.(*unix.SockaddrInet4).Port)
	c := &Conn{fd: fd}
	if !c.isItself(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)) {
		t.Error("it is not seen")
	}
	if c.isItself(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port+1)) {
		t.Error("another port is taken for it")
	}
}

// A first part of a reply is acknowledged at once if that is asked for.
func TestAckAtOnce(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Dialer) {
		c := dial(t, d, serve(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
			conn.(*net.TCPConn).SetNoDelay(false)
			for {
				if _, err := conn.Read(make([]byte, 8)); err != nil {
					return
				}
				conn.Write([]byte("head"))
				conn.Write([]byte("body"))
			}
		}))
		c.Hint.Parts = true
		reply := make([]byte, 8)
		for range 50 { // each would last 40 ms
			n, err := c.Exchange([]byte("x"), reply)
			for err == nil && n < len(reply) {
				var more int
				more, err = c.Read(reply[n:])
				n += more
			}
			if string(reply[:n]) != "headbody" {
				t.Fatalf("got %q, %v", reply[:n], err)
			}
		}
	})
}

// Nothing is left of connections that are closed, in whatever state.
func TestDescriptors(t *testing.T) {
	addr := serve(t, "tcp", "127.0.0.1:0", echo)
	drops := dropSYNs(t)
	before := descriptors(t)
	for range 20 {
		d := newDialer(1)
		c := dial(t, d, addr)
		ask(t, c, "in the kernel")
		d.quick.Add(1)
		ask(t, c, "with a loop")
		d.quick.Add(-1)
		for range calmCalls + 1 {
			ask(t, c, "in the kernel again")
		}
		c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, err := d.Dial(ctx, drops, Hint{Quick: true}, nil); err == nil {
			t.Error("no error from a port that drops SYNs")
		}
		cancel()
	}
	for range 1000 { // the server closes when it sees the end
		if descriptors(t) <= before {
			return
		}
		<-time.After(5 * time.Millisecond)
	}
	t.Errorf("%d descriptors are open, want %d", descriptors(t), before)
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestAllocations(t *testing.T) {
	for name, dialer := range dialers {
		t.Run(name, func(t *testing.T) {
			c := dial(t, dialer(), serve(t, "tcp", "127.0.0.1:0", echo))
			request, reply := []byte("ping"), make([]byte, 8)
			n := testing.AllocsPerRun(200, func() {
				if _, err := c.Exchange(request, reply); err != nil {
					t.Fatal(err)
				}
			})
			if n > 0.5 { // the server's goroutine is in the same process
				t.Errorf("%v allocations for a call", n)
			}
		})
	}
}

// BenchmarkExchange is a call of a quick server, beside package net.
func BenchmarkExchange(b *testing.B) {
	request, reply := []byte("ping"), make([]byte, 8)
	for name, dialer := range dialers {
		b.Run(name, func(b *testing.B) {
			c := dial(b, dialer(), serve(b, "tcp", "127.0.0.1:0", echo))
			c.SetDeadline(time.Now().Add(time.Hour))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Exchange(request, reply); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("net", func(b *testing.B) {
		c, err := net.Dial("tcp", serve(b, "tcp", "127.0.0.1:0", echo).String())
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Exchange(c, request, reply); err != nil {
				b.Fatal(err)
			}
		}
	})
}
