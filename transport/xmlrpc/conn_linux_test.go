package xmlrpc

import (
	"bufio"
	"fmt"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/tcp"
)

// A halfConn gives each time half of what is asked for.
type halfConn struct{ stream }

func (c halfConn) Read(p []byte) (int, error) {
	return iotest.HalfReader(c.stream).Read(p[:min(len(p), 64)])
}

// quickAckOption sets the option if to is not negative, and returns what it is then.
func quickAckOption(t *testing.T, c *connection, to int) (option int) {
	t.Helper()
	err := c.socket.Control(func(fd uintptr) {
		var err error
		if to >= 0 {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, to)
		}
		if err == nil {
			option, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK)
		}
		if err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return option
}

// A server that sends its reply in parts (RPC::XML) waits for the first to be
// acknowledged: that is not to be late. Whole replies need no system call more.
func TestQuickAck(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0", wellBehaved)
	l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m")
	l.deliver(1)
	c := l.conn
	b := new(buffers)
	b.writeCall(l.socket, l.events(1)[0].Event)
	for _, test := range []struct {
		name string
		conn stream
		want int
	}{{"whole", c.stream, 0}, {"in parts", halfConn{c.stream}, 1}, {"whole again", c.stream, 0}} {
		if quickAckOption(t, c, 0) != 0 {
			t.Fatal("the option cannot be set")
		}
		c.stream, c.calls = test.conn, nil
		if _, err := c.exchange(b, time.Now().Add(time.Minute), tcp.Hint{}); err != nil {
			t.Fatal(err)
		}
		if got := quickAckOption(t, c, -1); got != test.want {
			t.Errorf("after a reply %s TCP_QUICKACK is %d, want %d", test.name, got, test.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _ = c.socket.Control(tcp.AckAtOnce) }); n > 0 {
		t.Errorf("%v allocations to set it", n)
	}
}

// Head and body in two segments are a reply.
func TestSplitReplies(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0", func(s *testServer, conn net.Conn, r *bufio.Reader) {
		conn.(*net.TCPConn).SetNoDelay(false)
		for {
			if _, ok := s.request(r); !ok {
				return
			}
			const head = "HTTP/1.1 200 OK\r\nContent-Length: 102\r\n\r\n"
			if _, err := conn.Write([]byte(head)); err != nil {
				return
			}
			conn.Write([]byte(methodResponse))
		}
	})
	l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m")
	for range 50 {
		wantEqual(t, "verdicts", l.deliver(1), delivered(1, 1))
	}
	if l.conn == nil || l.conn.served != 50 {
		t.Errorf("connection %+v, want one that has served 50", l.conn)
	}
}

// dropSYNs returns the address of a port that does not answer to who wants to
// connect: its queue is full and nobody accepts.
func dropSYNs(t *testing.T) string {
	t.Helper()
	newSocket := func() int {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Close(fd) })
		return fd
	}
	listener := newSocket()
	if err := syscall.Bind(listener, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(listener, 0); err != nil {
		t.Fatal(err)
	}
	address, err := syscall.Getsockname(listener)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if err := syscall.Connect(newSocket(), address); err != nil && err != syscall.EINPROGRESS {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("127.0.0.1:%d", address.(*syscall.SockaddrInet4).Port)
}

func TestConnectTimeout(t *testing.T) {
	l := openTestLane(t, newTransports(t, nil), dropSYNs(t)+":m;connect_timeout=20")
	want := evid.Result{Verdict: evid.Retry, Blame: evid.TheDestination, Detail: "connect to " + l.socket.address() + ": no connection within 20ms"}
	batch := l.events(1)
	l.Deliver(batch)
	wantEqual(t, "result", batch[0].Result, want)
}

// Close does not wait for a connection, at whatever point it comes.
func TestCloseAbortsDial(t *testing.T) {
	address := dropSYNs(t)
	for _, host := range []string{address, strings.Replace(address, "127.0.0.1", "localhost", 1)} {
		for i := range 50 {
			l := openTestLane(t, newTransports(t, nil), host+":m;connect_timeout=600000")
			done := make(chan evid.Result)
			go func() {
				batch := l.events(1)
				l.Deliver(batch)
				done <- batch[0].Result
			}()
			for dialling := false; !dialling && i%5 > 0; { // else it comes when it comes
				l.mu.Lock()
				dialling = l.abort != nil
				l.mu.Unlock()
				runtime.Gosched()
			}
			l.Close()
			wantEqual(t, "result", <-done, evid.Result{})
		}
	}
}
