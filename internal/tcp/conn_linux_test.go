package tcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const briefly = briefTime

func aloneDialer() *Dialer   { return &Dialer{places: 100} }
func crowdedDialer() *Dialer { return &Dialer{} }

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
		_, err := d.Dial(ctx, drops, Hint{Quick: true})
		var timed net.Error
		if !errors.As(err, &timed) || !timed.Timeout() {
			t.Errorf("got %v, want a timeout", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(2*briefly, cancel)
		if _, err := d.Dial(ctx, drops, Hint{Quick: true}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	})
}

// The poller has a connection while there is no place in the kernel, and no longer.
func TestParking(t *testing.T) {
	d := &Dialer{places: 1}
	addr := serve(t, "tcp", "127.0.0.1:0", echo)
	c := dial(t, d, addr)
	ask(t, c, "alone")
	if c.file != nil {
		t.Fatal("a call that has a place in the kernel went through the poller")
	}
	c.Hint.Quick = false
	ask(t, c, "slow")
	if c.file == nil {
		t.Fatal("a call of a slow server waited in the kernel")
	}
	c = dial(t, d, addr)
	d.takePlace() // for another call
	ask(t, c, "not alone")
	if c.file == nil {
		t.Fatal("a call without a place waited in the kernel")
	}
	d.leavePlace()
	for i := range calmCalls {
		if c.file == nil {
			t.Fatalf("it was taken back after %d calls, want %d", i, calmCalls)
		}
		ask(t, c, "alone again")
	}
	if c.file != nil {
		t.Fatal("it was not taken back")
	}
	ask(t, c, "and goes on")
	if n := d.taken.Load(); n != 0 {
		t.Errorf("%d places are taken, want none", n)
	}
}

// Who waits long leaves its place to others.
func TestSlowCallLeavesItsPlace(t *testing.T) {
	d := &Dialer{places: 1}
	c := dial(t, d, serve(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
		conn.Read(make([]byte, 1))
		for d.taken.Load() > 0 { // until it has left
			runtime.Gosched()
		}
		conn.Write([]byte("x"))
	}))
	ask(t, c, "x")
}

// Whatever goes wrong, no place is taken for good.
func TestNoPlaceIsLost(t *testing.T) {
	d := &Dialer{places: 1}
	addr := serve(t, "tcp", "127.0.0.1:0", echo)
	for _, calls := range []int{0, 1, calmCalls - 1} { // with the poller, the last time about to be taken back
		c := dial(t, d, addr)
		d.takePlace()
		ask(t, c, "with the poller")
		d.leavePlace()
		for range calls {
			ask(t, c, "alone")
		}
		c.Close()
		if _, err := c.Exchange([]byte("x"), make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want %v", err, net.ErrClosed)
		}
		if n := d.taken.Load(); n != 0 {
			t.Errorf("%d places are taken after %d calls, want none", n, calls)
		}
	}
}

// Without a descriptor to take it back with, a connection stays with the poller.
func TestUnparkWithoutDescriptors(t *testing.T) {
	d := &Dialer{places: 1}
	c := dial(t, d, serve(t, "tcp", "127.0.0.1:0", echo))
	d.takePlace()
	ask(t, c, "with the poller")
	d.leavePlace()
	for range calmCalls - 1 {
		ask(t, c, "alone")
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	_, err := c.Exchange([]byte("x"), make([]byte, 1))
	if errReset := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); errReset != nil {
		t.Fatal(errReset)
	}
	if err != nil || c.file == nil || d.taken.Load() != 0 {
		t.Errorf("got %v, with the poller: %t, places taken: %d", err, c.file != nil, d.taken.Load())
	}
	ask(t, c, "and goes on")
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
		d := &Dialer{places: 1}
		c := dial(t, d, addr)
		ask(t, c, "in the kernel")
		d.takePlace()
		ask(t, c, "with the poller")
		d.leavePlace()
		for range calmCalls {
			ask(t, c, "taken back")
		}
		c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, err := d.Dial(ctx, drops, Hint{Quick: true}); err == nil {
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
