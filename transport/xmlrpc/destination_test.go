package xmlrpc

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/evid/evid"
)

// untilClosed answers one request and waits for the client to close.
func untilClosed(t *testing.T) func(*testServer, net.Conn, *bufio.Reader) {
	return func(s *testServer, conn net.Conn, r *bufio.Reader) {
		if _, ok := s.request(r); !ok {
			t.Error("a connection without a request")
			return
		}
		answer(conn)
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("the connection was not closed after its reply: %v", err)
		}
	}
}

// twice answers two requests and closes without having said so.
func twice(s *testServer, conn net.Conn, r *bufio.Reader) {
	for range 2 {
		if _, ok := s.request(r); ok {
			answer(conn)
		}
	}
}

// promptly makes it look as if the last reply had just come, however long the
// machine took since.
func (l *testLane) promptly() {
	if l.conn != nil {
		l.conn.used = l.dest.t.now() + time.Hour
	}
}

// After two connections that a server closed after their first reply, unannounced
// (Frontier::Daemon), we close each after its reply, for an hour.
func TestHangUpIsLearned(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0", once, once, untilClosed(t), untilClosed(t), wellBehaved)
	transports := newTransports(t, nil)
	l := openTestLane(t, transports, s.Addr().String()+":m")
	for i := range 4 {
		wantEqual(t, fmt.Sprint("event ", i), l.deliver(1), delivered(1, 1))
		if kept := l.conn != nil; kept != (i < 2) {
			t.Errorf("event %d: connection kept: %v", i, kept)
		}
		l.promptly()
	}
	transports.anHourLater()
	for range 2 {
		wantEqual(t, "an hour later", l.deliver(1), delivered(1, 1))
		if l.conn == nil {
			t.Error("an hour later the connection is closed after its reply")
		}
	}
	if l.conn.served != 2 {
		t.Errorf("an hour later a connection has served %d", l.conn.served)
	}
}

// Closes of other kinds teach nothing: after more than one reply, announced, and
// of what was idle.
func TestHangUpIsNotLearned(t *testing.T) {
	announced := func(s *testServer, conn net.Conn, r *bufio.Reader) {
		if _, ok := s.request(r); ok {
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(methodResponse), methodResponse)
		}
	}
	oldProtocol := func(s *testServer, conn net.Conn, r *bufio.Reader) {
		if _, ok := s.request(r); ok {
			fmt.Fprintf(conn, "HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(methodResponse), methodResponse)
		}
	}
	for _, test := range []struct {
		name   string
		serve  func(s *testServer, conn net.Conn, r *bufio.Reader)
		events int
		idle   bool
	}{
		{"after two", twice, 8, false},
		{"announced", announced, 4, false},
		{"HTTP/1.0", oldProtocol, 4, false},
		{"idle", once, 4, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, "tcp", "127.0.0.1:0", test.serve)
			l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m")
			for range test.events {
				wantEqual(t, "verdicts", l.deliver(1), delivered(1, 1))
				l.promptly()
				if test.idle {
					l.conn.used -= time.Hour + hangUpTime
				}
			}
			if !l.dest.keeps(1, l.dest.t.now()) {
				t.Error("the server is taken for one that hangs up after each reply")
			}
		})
	}
}

// Two hang-ups with a better connection between them are not two in a row.
func TestHangUpIsForgotten(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0", once, twice, once, wellBehaved)
	l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m")
	for range 5 {
		wantEqual(t, "verdicts", l.deliver(1), delivered(1, 1))
		l.promptly()
	}
	if l.conn == nil {
		t.Error("the connection was closed after its reply")
	}
}

// Abyss announces after 30 replies that it closes, others do not: no event is
// lost or comes twice.
func TestThirtyRepliesThenClose(t *testing.T) {
	for _, announcement := range []string{"", "Connection: close\r\n"} {
		s := serve(t, "tcp", "127.0.0.1:0", func(s *testServer, conn net.Conn, r *bufio.Reader) {
			for i := range 30 {
				if _, ok := s.request(r); !ok {
					return
				}
				last := ""
				if i == 29 {
					last = announcement
				}
				fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", last, len(methodResponse), methodResponse)
			}
		})
		l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m")
		for range 95 {
			wantEqual(t, "verdicts", l.deliver(1), delivered(1, 1))
		}
		if n := len(s.requests); n != 95 {
			t.Errorf("%d calls for 95 events", n)
		}
		if l.conn == nil || l.conn.served != 5 {
			t.Errorf("the last connection is %+v, want one that has served 5", l.conn)
		}
	}
}

// A server that closes what is idle (Node after 5 s) closes between two calls: the
// next goes over a new connection, once.
func TestIdleConnectionCloses(t *testing.T) {
	end := make(chan struct{})
	s := serve(t, "tcp", "127.0.0.1:0", func(s *testServer, conn net.Conn, r *bufio.Reader) {
		twice(s, conn, r)
		<-end
	}, wellBehaved)
	l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m")
	l.deliver(1)
	l.deliver(1)
	first := l.conn
	end <- struct{}{}
	for !first.isStale() {
		runtime.Gosched()
	}
	wantEqual(t, "after it was closed", l.deliver(1), delivered(1, 1))
	if l.conn == first || len(s.requests) != 3 {
		t.Errorf("%d calls, another connection: %v", len(s.requests), l.conn != first)
	}
}

// Node answers in chunks, and keeps the connection.
func TestChunkedReplies(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0", func(s *testServer, conn net.Conn, r *bufio.Reader) {
		for {
			if _, ok := s.request(r); !ok {
				return
			}
			half := len(methodResponse) / 2
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", half, methodResponse[:half])
			fmt.Fprintf(conn, "%x\r\n%s\r\n0\r\n\r\n", len(methodResponse)-half, methodResponse[half:])
		}
	})
	l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m")
	for range 3 {
		batch := l.events(1)
		l.Deliver(batch)
		wantEqual(t, "result", batch[0].Result, evid.Result{Verdict: evid.Delivered, Sent: true, Answered: true, Code: 200})
	}
	if l.conn == nil || l.conn.served != 3 {
		t.Errorf("connection %+v, want one that has served 3", l.conn)
	}
}

// What was learned of a server lasts as long as a lane to it is open.
func TestDestinations(t *testing.T) {
	transports := newTransports(t, nil)
	first := openTestLane(t, transports, "h:1:m")
	same := openTestLane(t, transports, "H:1/other:n;keepalive=0")
	other := openTestLane(t, transports, "h:2:m")
	if first.dest != same.dest || first.dest == other.dest {
		t.Error("destinations are not shared by scheme, host and port")
	}
	for _, l := range []*testLane{first, first, other} {
		l.Close()
	}
	if n := len(transports.destinations.byName); n != 1 {
		t.Errorf("%d destinations while one lane is open", n)
	}
	same.Close()
	if n := len(transports.destinations.byName); n != 0 {
		t.Errorf("%d destinations without a lane", n)
	}
}

// proven is the answer of a server that speaks XML-RPC, after some time.
func proven(took time.Duration) *outcome {
	return &outcome{reply: reply{status: 200, body: []byte(methodResponse)}, took: took}
}

// The paths of a server that are remembered are bounded: the oldest make room.
func TestPathsAreBounded(t *testing.T) {
	var d destination
	for i := range 10 * maxPaths {
		d.called(fmt.Sprint("/", i), proven(1))
	}
	newest := fmt.Sprint("/", 10*maxPaths-1)
	n := 0
	for p := &d.oldest; p != nil; p = p.next {
		n++
	}
	if n != maxPaths || !d.pathLocked(newest).proven || d.pathLocked("/0").proven {
		t.Errorf("%d paths, want the newest %d", n, maxPaths)
	}
}

// A lane that is idle is to be kept for what a call does not say by itself, and only as
// long as that is so.
func TestIdleLaneIsKept(t *testing.T) {
	hangUp := func(d *destination) { d.hungUp(d.t.now()) }
	for _, test := range []struct {
		name        string
		learn       func(*destination)
		kept        bool
		afterAnHour bool
	}{
		{"nothing", func(*destination) {}, false, false},
		{"a call", func(d *destination) { d.called("/RPC2", proven(1)) }, false, false},
		{"a hang-up", hangUp, true, true},
		{"two hang-ups", func(d *destination) { hangUp(d); hangUp(d) }, true, false},
		{"a multicall", func(d *destination) { d.multicallWorked("/RPC2", 2, time.Second) }, true, true},
		{"no multicall", func(d *destination) { d.multicallFailed("/RPC2", d.t.now()) }, true, false},
		{"of another path", func(d *destination) { d.called("/", proven(1)); d.multicallFailed("/RPC2", d.t.now()) }, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			transports := newTransports(t, nil)
			l := openTestLane(t, transports, "h:1:m")
			test.learn(l.dest)
			if kept := l.Idle(); kept != test.kept {
				t.Errorf("kept: %t", kept)
			}
			transports.anHourLater()
			if kept := l.Idle(); kept != test.afterAnHour {
				t.Errorf("kept an hour later: %t", kept)
			}
		})
	}
}
