package tcp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serve answers each connection with a function, and returns where it listens.
func serve(t testing.TB, network, addr string, answer func(net.Conn)) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				answer(conn)
			}()
		}
	}()
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

// echo answers each read with what it has read.
func echo(conn net.Conn) { after(0)(conn) }

// silent reads and answers nothing.
func silent(conn net.Conn) { io.Copy(io.Discard, conn) }

// after answers each read after that time.
func after(d time.Duration) func(net.Conn) {
	return func(conn net.Conn) {
		buf := make([]byte, 1024)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			if d > 0 {
				<-time.After(d)
			}
			conn.Write(buf[:n])
		}
	}
}

func dial(t testing.TB, d *Dialer, addr netip.AddrPort) *Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := d.Dial(ctx, addr, Hint{Quick: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// ask makes a call of an echoing server.
func ask(t testing.TB, c *Conn, request string) {
	t.Helper()
	reply := make([]byte, 64)
	n, err := c.Exchange([]byte(request), reply)
	if err != nil || string(reply[:n]) != request {
		t.Fatalf("asked %q, got %q, %v", request, reply[:n], err)
	}
}

// A dialer of each kind: one whose calls are alone, and one whose never are.
var dialers = map[string]func() *Dialer{"alone": aloneDialer, "not alone": crowdedDialer}

func eachKind(t *testing.T, test func(t *testing.T, d *Dialer)) {
	for name, dialer := range dialers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, dialer())
		})
	}
}

func TestExchange(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		eachKind(t, func(t *testing.T, d *Dialer) {
			c := dial(t, d, serve(t, "tcp", addr, echo))
			for range 200 {
				ask(t, c, "ping")
			}
		})
	}
}

// A server that takes longer than a call waits in the kernel.
func TestSlowServer(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Dialer) {
		c := dial(t, d, serve(t, "tcp", "127.0.0.1:0", after(2*briefly)))
		ask(t, c, "one")
		ask(t, c, "two")
	})
}

// A reply in parts, and its end.
func TestParts(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Dialer) {
		c := dial(t, d, serve(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
			conn.Read(make([]byte, 64))
			conn.Write([]byte("one "))
			<-time.After(2 * briefly)
			conn.Write([]byte("two"))
		}))
		reply := make([]byte, 4)
		n, err := c.Exchange([]byte("x"), reply)
		if err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(c)
		if got := string(reply[:n]) + string(rest); err != nil || got != "one two" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestDeadline(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"shorter": briefly / 2, "longer": 2 * briefly} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, d *Dialer) {
				c := dial(t, d, serve(t, "tcp", "127.0.0.1:0", silent))
				began := time.Now()
				c.SetDeadline(began.Add(timeout))
				_, err := c.Exchange([]byte("x"), make([]byte, 1))
				var timed net.Error
				if !errors.As(err, &timed) || !timed.Timeout() {
					t.Errorf("got %v, want a timeout", err)
				}
				if time.Since(began) < timeout {
					t.Errorf("it waited %v, want %v", time.Since(began), timeout)
				}
			})
		})
	}
}

// Whoever waits for a connection returns when it is closed.
func TestClose(t *testing.T) {
	for name, wait := range map[string]time.Duration{"at once": 0, "later": 2 * briefly} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, d *Dialer) {
				asked := make(chan struct{})
				c := dial(t, d, serve(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
					conn.Read(make([]byte, 1))
					close(asked)
					silent(conn)
				}))
				c.SetDeadline(time.Now().Add(time.Hour))
				done := make(chan error)
				go func() {
					_, err := c.Exchange([]byte("x"), make([]byte, 1))
					done <- err
				}()
				<-asked
				<-time.After(wait)
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				if err := <-done; err == nil {
					t.Error("no error of the call")
				}
				if _, err := c.Exchange([]byte("x"), make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
					t.Errorf("a call of a closed connection: %v, want %v", err, net.ErrClosed)
				}
				if err := c.Close(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("closed again: %v, want %v", err, net.ErrClosed)
				}
			})
		})
	}
}

// The end of a connection, or what nobody has asked for, is seen before the next call
// is sent.
func TestStale(t *testing.T) {
	for name, after := range map[string]func(net.Conn){
		"the end": func(conn net.Conn) { conn.(*net.TCPConn).CloseWrite() },
		"a byte":  func(conn net.Conn) { conn.Write([]byte("\n")) },
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, d *Dialer) {
				asked, more, rest := make(chan bool), make(chan bool), make(chan []byte, 1)
				c := dial(t, d, serve(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
					conn.Read(make([]byte, 8))
					conn.Write([]byte("ping"))
					<-asked
					after(conn)
					close(more)
					got, _ := io.ReadAll(conn)
					rest <- got
				}))
				ask(t, c, "ping")
				close(asked)
				<-more
				for arrived := false; !arrived; { // it takes its time on a machine that is busy
					if err := c.Control(func(fd uintptr) { arrived = IsStale(fd) }); err != nil {
						t.Fatal(err)
					}
				}
				<-time.After(time.Millisecond) // right after a reply nobody looks
				if _, err := c.Exchange([]byte("again"), make([]byte, 8)); !errors.Is(err, ErrStale) {
					t.Errorf("got %v, want %v", err, ErrStale)
				}
				c.Close()
				if got := <-rest; len(got) > 0 {
					t.Errorf("sent %q", got)
				}
			})
		})
	}
}

// Nothing is sent when its time has passed.
func TestPastDeadline(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Dialer) {
		got := make(chan []byte, 1)
		c := dial(t, d, serve(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
			all, _ := io.ReadAll(conn)
			got <- all
		}))
		c.SetDeadline(time.Now().Add(-time.Second))
		var timed net.Error
		if _, err := c.Exchange([]byte("x"), make([]byte, 1)); !errors.As(err, &timed) || !timed.Timeout() {
			t.Errorf("got %v, want a timeout", err)
		}
		c.Close()
		if all := <-got; len(all) > 0 {
			t.Errorf("sent %q", all)
		}
	})
}

// A request that is larger than any buffer, to a server that reads it late.
func TestLargeRequest(t *testing.T) {
	const size = 16 << 20
	eachKind(t, func(t *testing.T, d *Dialer) {
		got := make(chan int64, 1)
		c := dial(t, d, serve(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
			<-time.After(2 * briefly)
			n, _ := io.CopyN(io.Discard, conn, size)
			got <- n
			conn.Write([]byte("ok"))
		}))
		reply := make([]byte, 8)
		n, err := c.Exchange(bytes.Repeat([]byte("x"), size), reply)
		if err != nil || string(reply[:n]) != "ok" {
			t.Errorf("got %q, %v", reply[:n], err)
		}
		if n := <-got; n != size {
			t.Errorf("the server got %d bytes, want %d", n, size)
		}
	})
}

// A server that answers before it has read all, and closes.
func TestEarlyAnswer(t *testing.T) {
	eachKind(t, func(t *testing.T, d *Dialer) {
		c := dial(t, d, serve(t, "tcp", "127.0.0.1:0", func(conn net.Conn) {
			conn.Write([]byte("no"))
			conn.(*net.TCPConn).CloseWrite()
			<-time.After(2 * briefly)
		}))
		reply := make([]byte, 8)
		n, err := c.Exchange(bytes.Repeat([]byte("x"), 16<<20), reply)
		if err != nil || string(reply[:n]) != "no" {
			t.Errorf("got %q, %v", reply[:n], err)
		}
	})
}

func TestDialErrors(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refuses := listener.Addr().(*net.TCPAddr).AddrPort()
	listener.Close()
	eachKind(t, func(t *testing.T, d *Dialer) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := d.Dial(ctx, refuses, Hint{Quick: true}, nil); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("got %v, want %v", err, syscall.ECONNREFUSED)
		}
		noZone := netip.MustParseAddrPort("[fe80::1%no-such-interface]:80")
		if _, err := d.Dial(ctx, noZone, Hint{Quick: true}, nil); err == nil || !strings.Contains(err.Error(), "no-such-interface") {
			t.Errorf("got %v, want an error about the interface", err)
		}
	})
}
