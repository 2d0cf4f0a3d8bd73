package test_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/evid/evid/internal/daemon/daemontest"
)

const okReply = "<?xml version=\"1.0\"?><methodResponse><params><param><value>OK</value></param></params></methodResponse>"

func httpReply(status, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

func faultReply(code int) string {
	return httpReply("200 OK", fmt.Sprintf("<?xml version=\"1.0\"?><methodResponse><fault><value><struct>"+
		"<member><name>faultCode</name><value><int>%d</int></value></member>"+
		"<member><name>faultString</name><value>no</value></member></struct></value></fault></methodResponse>", code))
}

// A badServer answers the method good, and misbehaves when bad is called, until it
// is mended.
type badServer struct {
	addr   string
	good   chan string // the bodies of the good method's calls
	mended atomic.Bool
}

// serveBad starts a badServer. Misbehave gets the connection after the request
// was read, and must return when stop is closed or the connection ends.
func serveBad(t *testing.T, misbehave func(conn net.Conn, stop <-chan struct{})) *badServer {
	l := listen(t)
	s := &badServer{addr: l.Addr().String(), good: make(chan string, 16)}
	stop := make(chan struct{})
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				s.serve(conn, misbehave, stop)
			})
		}
	})
	t.Cleanup(func() {
		close(stop)
		l.Close()
		conns.Wait()
	})
	return s
}

func (s *badServer) serve(conn net.Conn, misbehave func(net.Conn, <-chan struct{}), stop <-chan struct{}) {
	conn.SetDeadline(time.Now().Add(time.Minute))
	requests := bufio.NewReader(conn)
	for {
		request, err := http.ReadRequest(requests)
		if err != nil {
			return
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		switch bad := bytes.Contains(body, []byte("<methodName>bad<")); {
		case bad && !s.mended.Load():
			misbehave(conn, stop)
			return
		case !bad:
			s.good <- string(body)
		}
		io.WriteString(conn, httpReply("200 OK", okReply))
	}
}

// says sends a reply and closes the connection.
func says(reply string) func(net.Conn, <-chan struct{}) {
	return func(conn net.Conn, _ <-chan struct{}) { io.WriteString(conn, reply) }
}

// TestBadSubscribers: what becomes of the event of a subscriber that behaves
// badly, and that others have theirs before its time is up: another destination,
// and another method at the same destination. What is worth another attempt arrives
// when the subscriber is mended.
func TestBadSubscribers(t *testing.T) {
	for _, test := range []struct {
		name      string
		misbehave func(net.Conn, <-chan struct{})
		slow      bool   // it takes all of its time
		log       string // what the log says; empty: nothing
		want      map[string]uint64
	}{
		{
			name: "status 500", misbehave: says(httpReply("500 Internal Server Error", "")),
			log:  `verdict=retry blame="the event" reason="HTTP status 500 Internal Server Error"`,
			want: map[string]uint64{"delivered": 3},
		}, {
			name: "status 503", misbehave: says(httpReply("503 Service Unavailable", "")),
			log:  `verdict=retry blame="the subscriber" reason="HTTP status 503 Service Unavailable"`,
			want: map[string]uint64{"delivered": 3},
		}, {
			name: "status 400", misbehave: says(httpReply("400 Bad Request", "")),
			log:  `verdict=rejected blame="no one" reason="HTTP status 400 Bad Request"`,
			want: map[string]uint64{"delivered": 2, "dead": 1},
		}, {
			name: "status 410", misbehave: says(httpReply("410 Gone", "")),
			want: map[string]uint64{"delivered": 2, "abandoned": 1, "subscribers": 2},
		}, {
			name: "fault", misbehave: says(faultReply(4)),
			log:  `verdict=rejected blame="no one" reason="fault 4: no"`,
			want: map[string]uint64{"delivered": 2, "dead": 1},
		}, {
			name: "fault that is worth another attempt", misbehave: says(faultReply(-32500)),
			log:  `verdict=retry blame="the event" reason="fault -32500: no"`,
			want: map[string]uint64{"delivered": 3},
		}, {
			name: "no methodResponse", misbehave: says(httpReply("200 OK", "thanks")),
			want: map[string]uint64{"delivered": 3, "odd_replies": 1},
		}, {
			name: "garbage", misbehave: says("SSH-2.0-OpenSSH_9.2\r\n"),
			log:  `verdict=retry blame="the subscriber" reason="expected an HTTP reply, got \"SSH-2.0-OpenSSH_9.2\""`,
			want: map[string]uint64{"delivered": 3},
		}, {
			name: "ends early", misbehave: says("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<?xml"),
			log:  `verdict=retry blame="the subscriber" reason="the reply ended early"`,
			want: map[string]uint64{"delivered": 3},
		}, {
			name: "says nothing", misbehave: says(""),
			log:  `verdict=retry blame="the subscriber" reason="the reply ended early"`,
			want: map[string]uint64{"delivered": 3},
		}, {
			name: "100 MB", misbehave: hundredMegabytes,
			want: map[string]uint64{"delivered": 3, "odd_replies": 1},
		}, {
			name: "one byte a second", misbehave: byteASecond, slow: true,
			log:  `verdict=retry blame="the subscriber" reason="no whole reply within 4s"`,
			want: map[string]uint64{"delivered": 3},
		}, {
			name: "never", misbehave: func(_ net.Conn, stop <-chan struct{}) { <-stop }, slow: true,
			log:  `verdict=retry blame="the subscriber" reason="no reply within 4s"`,
			want: map[string]uint64{"delivered": 3},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			bad, other := serveBad(t, test.misbehave), serveBad(t, nil)
			d := daemontest.Start(t, "")
			d.Subscribe("E_TEST", "xmlrpc:"+other.addr+":good")
			d.Subscribe("E_TEST", "xmlrpc:"+bad.addr+":good")
			d.Subscribe("E_TEST", "xmlrpc:"+bad.addr+":bad;timeout=4000;retry_min=10;retry_max=50;max_attempts=1000000") // the newest is attempted first
			d.Call("raise_event", []any{"E_TEST"})
			receive(t, other.good)
			receive(t, bad.good)
			if s := d.Statistics(); test.slow && s["waiting"] == 0 {
				t.Errorf("the others have their events, and the bad one has not taken its time: %v", s)
			}
			if strings.Contains(test.log, "verdict=retry") {
				d.Until("an attempt to have failed", func(s map[string]uint64) bool { return s["retried"] > 0 })
				bad.mended.Store(true)
			}
			checkStatistics(t, d.Settled(), test.want)
			if got := d.Log.String(); test.log == "" && got != "" || !strings.Contains(got, test.log) {
				t.Errorf("log:\n%s\nwant %s", got, test.log)
			}
		})
	}
}

func hundredMegabytes(conn net.Conn, _ <-chan struct{}) {
	io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
	for block := make([]byte, 1<<20); ; {
		if _, err := conn.Write(block); err != nil {
			return
		}
	}
}

func byteASecond(conn net.Conn, stop <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for _, b := range []byte(httpReply("200 OK", okReply)) {
		if _, err := conn.Write([]byte{b}); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

// A destination that refuses connections has no other methods, but another
// destination has its event.
func TestRefusingSubscriber(t *testing.T) {
	other := serveBad(t, nil)
	l := listen(t)
	l.Close() // its port refuses now
	d := daemontest.Start(t, "")
	d.Subscribe("E_TEST", "xmlrpc:"+other.addr+":good")
	d.Subscribe("E_TEST", fmt.Sprintf("xmlrpc:%s:bad", l.Addr()))
	d.Call("raise_event", []any{"E_TEST"})
	receive(t, other.good)
	s := d.Until("an attempt to have failed", func(s map[string]uint64) bool { return s["retried"] > 0 && s["delivered"] > 0 })
	checkStatistics(t, s, map[string]uint64{"delivered": 1, "waiting": 1})
	want := fmt.Sprintf(`verdict=retry blame="the destination" reason="connect to %s: connection refused"`, l.Addr())
	if !strings.Contains(d.Log.String(), want) {
		t.Errorf("log:\n%s\nwant %s", d.Log, want)
	}
}

func receive(t *testing.T, calls <-chan string) string {
	t.Helper()
	select {
	case call := <-calls:
		return call
	case <-time.After(30 * time.Second):
		t.Fatal("no call came")
		return ""
	}
}

// checkStatistics compares the group evi with what is wanted; what is not
// named must be 0, but for those that every test has, and for retried, which is as
// chance has it.
func checkStatistics(t *testing.T, got, want map[string]uint64) {
	t.Helper()
	for _, name := range []string{"delivered", "unconfirmed", "odd_replies", "dead", "dropped", "abandoned", "waiting"} {
		if got[name] != want[name] {
			t.Errorf("%s is %d, want %d, in %v", name, got[name], want[name], got)
		}
	}
	if n, ok := want["subscribers"]; ok && got["subscribers"] != n {
		t.Errorf("%d subscribers, want %d", got["subscribers"], n)
	}
}

// listen listens on a free port of the loopback interface.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
