package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newTestLab returns a lab whose runs are short.
func newTestLab(t *testing.T) *lab {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		give := t.Skipf
		if os.Getenv("CI") == "true" {
			give = t.Fatalf
		}
		give("needs gcc (%v); test/deps.sh installs it", err)
	}
	l, err := newLab(t.Context(), options{port: 10_000, seconds: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l
}

func (l *lab) startTestSink(t *testing.T, count int, options ...string) *sink {
	t.Helper()
	s, err := l.startSink(t.Context(), l.port, count, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	return s
}

func request(header, body string) string {
	return fmt.Sprintf("POST /RPC2 HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", header, len(body), body)
}

// The sink answers each call, and counts those in a system.multicall.
func TestSink(t *testing.T) {
	const call = "<methodCall><methodName>block_ip</methodName><params></params></methodCall>"
	multicall := "<methodCall><methodName>system.multicall</methodName>" +
		strings.Repeat("<struct><member><name>methodName</name><value>block_ip</value></member><member><name>params</name></member></struct>", 7)
	for _, tc := range []struct {
		name    string
		sent    []string // in separate writes
		replies []string // what each holds
		calls   uint64
		closes  bool
	}{
		{"one call", []string{request("", call)}, []string{"<int>1</int>"}, 1, false},
		{"pipelined", []string{strings.Repeat(request("", call), 3)}, []string{"<int>1", "<int>1", "<int>1"}, 3, false},
		{"in pieces", []string{request("", call)[:30], request("", call)[30:120], request("", call)[120:]}, []string{"<int>1"}, 1, false},
		{"close", []string{request("Connection: close\r\n", call)}, []string{"<int>1"}, 1, true},
		{
			"multicall",
			[]string{request("", multicall)},
			[]string{strings.Repeat("<value><array><data><value><int>1</int></value></data></array></value>", 7)},
			7, false,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newTestLab(t)
			s := l.startTestSink(t, 1)
			conn := l.dial(t, 0)
			for _, text := range tc.sent {
				if _, err := io.WriteString(conn, text); err != nil {
					t.Fatal(err)
				}
			}
			reader := bufio.NewReader(conn)
			for i, want := range tc.replies {
				reply, err := http.ReadResponse(reader, nil)
				if err != nil {
					t.Fatalf("read reply %d: %v", i, err)
				}
				body, err := io.ReadAll(reply.Body)
				if err != nil || reply.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
					t.Errorf("reply %d: %s, error %v, want %q in\n%s", i, reply.Status, err, want, body)
				}
			}
			if tc.closes {
				if _, err := reader.ReadByte(); !errors.Is(err, io.EOF) {
					t.Errorf("after the reply: %v, want the end of the connection", err)
				}
			}
			if calls, err := s.stop(); err != nil || calls != tc.calls {
				t.Errorf("%d calls counted, error %v, want %d", calls, err, tc.calls)
			}
		})
	}
}

func (l *lab) address(port int) string { return fmt.Sprintf("%s:%d", l.host, l.port+port) }

func (l *lab) dial(t *testing.T, port int) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", l.address(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// A reply is delayed, and one whose connection has gone meanwhile is forgotten.
func TestSinkDelay(t *testing.T) {
	const delay = 50 * time.Millisecond
	l := newTestLab(t)
	s := l.startTestSink(t, 1, "-d", "50")
	for range 3 {
		leaving := l.dial(t, 0)
		if _, err := io.WriteString(leaving, request("", "")); err != nil {
			t.Fatal(err)
		}
		leaving.Close()
	}
	conn := l.dial(t, 0)
	began := time.Now()
	if _, err := io.WriteString(conn, request("", "")); err != nil {
		t.Fatal(err)
	}
	if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < delay {
		t.Errorf("the reply came after %v, want at least %v", took, delay)
	}
	if _, err := s.stop(); err != nil {
		t.Error(err)
	}
}

func TestBadPorts(t *testing.T) {
	for _, tc := range []struct {
		name, option string
		refused      bool
		connects     bool
	}{
		{"silent", "-B", false, true},
		{"SYN-dropping", "-S", false, false},
		{"closed", "-C", true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newTestLab(t)
			l.startTestSink(t, 2, tc.option, "1")
			l.dial(t, 0) // the first port is none of these
			conn, err := net.DialTimeout("tcp", l.address(1), 100*time.Millisecond)
			if errors.Is(err, syscall.ECONNREFUSED) != tc.refused || (err == nil) != tc.connects {
				t.Fatalf("dial: %v", err)
			}
			if err != nil {
				return
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, request("Connection: close\r\n", "")); err != nil {
				t.Fatal(err)
			}
			conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			if n, err := conn.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read %d bytes, %v, want none in time", n, err)
			}
		})
	}
}

// What csend says is confirmed is what the sink did. With peer nothing is, and with pp and
// pipe some is under way at the end.
func TestCsend(t *testing.T) {
	for _, tc := range []struct {
		mode string
		args []string
		fits func(events, calls uint64) bool
	}{
		{"peer", nil, func(_, calls uint64) bool { return calls > 0 }},
		{"closeread", []string{"-s"}, func(events, calls uint64) bool { return events == calls }},
		{"pp", []string{"-k", "2"}, func(events, calls uint64) bool { return events <= calls && calls <= events+1+2 }},
		{"pipe", []string{"-k", "2", "-d", "4"}, func(events, calls uint64) bool { return events <= calls && calls <= events+1+8 }},
	} {
		t.Run(tc.mode, func(t *testing.T) {
			l := newTestLab(t)
			s := l.startTestSink(t, 1)
			got, err := l.csend(t.Context(), l.host, l.port, tc.mode, tc.args...)
			if err != nil {
				t.Fatal(err)
			}
			calls, err := s.stop()
			if err != nil {
				t.Fatal(err)
			}
			if got.failed > 0 || got.events == 0 || !tc.fits(got.events, calls) {
				t.Errorf("%+v, the sink counts %d", got, calls)
			}
		})
	}
}
