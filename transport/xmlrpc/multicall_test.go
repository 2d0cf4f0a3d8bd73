package xmlrpc

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/xmlrpc"
)

// A path is proven by a single call; then batches double up to 64.
func TestMulticallGrows(t *testing.T) {
	s := serveRPC(t, answerRight)
	l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m;struct=1")
	wantEqual(t, "first delivery", l.deliver(80), delivered(1, 80))
	for _, n := range []int{2, 4, 8, 16, 32, 64, 64} {
		wantEqual(t, "verdicts", l.deliver(80), delivered(n, 80))
	}
	wantEqual(t, "three", l.deliver(3), delivered(3, 3))
	wantEqual(t, "one", l.deliver(1), delivered(1, 1))
	wantEqual(t, "events of each request", s.seen(), []int{1, 2, 4, 8, 16, 32, 64, 64, 3, 1})
}

// What a call inside a multicall has is what a single one has.
func TestMulticallContent(t *testing.T) {
	s := serveRPC(t, answerRight)
	l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":a<&b;struct=1;event_id=1")
	params := []evid.Param{evid.String("ip", "<10.0.0.1>"), evid.Int("n", -5), evid.String("", "x")}
	l.deliver(1, params...)
	batch := l.events(2, params...)
	l.Deliver(batch)
	want := evid.Result{Verdict: evid.Delivered, Sent: true, Answered: true, Code: 200}
	for i := range batch {
		wantEqual(t, "result", batch[i].Result, want)
	}
	if len(s.calls) != 3 {
		t.Fatalf("%d calls", len(s.calls))
	}
	ids := []string{"00000000000000010000000000000001", "00000000000000010000000000000002", "00000000000000010000000000000003"}
	for i, call := range s.calls {
		wantEqual(t, "call", call, xmlrpc.Call{Method: "a<&b", Params: []xmlrpc.Param{
			{Value: "E_X"},
			{Value: xmlrpc.Struct{{Name: "ip", Value: "<10.0.0.1>"}}},
			{Value: xmlrpc.Struct{{Name: "n", Value: int64(-5)}}},
			{Value: "x"},
			{Value: xmlrpc.Struct{{Name: "event_id", Value: ids[i]}}},
		}})
	}
	wantEqual(t, "ids", s.ids, []string{ids[0], ids[1] + "," + ids[2]})
}

// Where a name stands beside its value a multicall has no place for it.
func TestMulticallWithNames(t *testing.T) {
	s := serveRPC(t, answerRight)
	l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m;event_id=1")
	named, unnamed := evid.String("v", "x"), evid.String("", "x")
	l.deliver(1, unnamed)
	wantEqual(t, "named", l.deliver(3, named), delivered(1, 3))
	mixed := l.events(2, unnamed)
	mixed = append(mixed, l.events(1, named)...)
	mixed = append(mixed, l.events(1, unnamed)...)
	l.Deliver(mixed)
	wantEqual(t, "mixed", verdicts(mixed), delivered(2, 4))
	wantEqual(t, "events of each request", s.seen(), []int{1, 1, 2})
	last := s.calls[len(s.calls)-1].Params
	wantEqual(t, "last parameters", last, []xmlrpc.Param{{Value: "E_X"}, {Value: "x"}, {Value: mixed[1].Event.ID.String()}})
}

func TestMulticallOff(t *testing.T) {
	s := serveRPC(t, answerRight)
	transports := newTransports(t, nil)
	l := openTestLane(t, transports, s.Addr().String()+":m;struct=1;multicall=0")
	for range 3 {
		wantEqual(t, "verdicts", l.deliver(2), delivered(1, 2))
	}
	wantEqual(t, "events of each request", s.seen(), []int{1, 1, 1})
	// Another subscriber shares what is learned of the path, but not the option.
	other := openTestLane(t, transports, s.Addr().String()+":m;struct=1")
	l.Close()
	wantEqual(t, "another, unproven", other.deliver(2), delivered(1, 2))
	wantEqual(t, "another, proven", other.deliver(2), delivered(2, 2))
}

// What one lane has learned all lanes to the same server and path know.
func TestMulticallIsLearnedForAll(t *testing.T) {
	s := serveRPC(t, answerRight)
	transports := newTransports(t, nil)
	first := openTestLane(t, transports, s.Addr().String()+":m;struct=1")
	second := openTestLane(t, transports, s.Addr().String()+":other;struct=1;timeout=60000")
	third := openTestLane(t, transports, s.Addr().String()+"/path:m;struct=1")
	first.deliver(1)
	first.Idle() // the server serves one connection at a time
	wantEqual(t, "same path", second.deliver(2), delivered(2, 2))
	second.Idle()
	wantEqual(t, "another path", third.deliver(2), delivered(1, 2))
	first.Close()
	second.Close()
	third.Close()
	fourth := openTestLane(t, transports, s.Addr().String()+":m;struct=1")
	wantEqual(t, "after all lanes were closed", fourth.deliver(2), delivered(1, 2))
}

// A fault of one call is judged as that of a single call, and the others count.
func TestMulticallFaults(t *testing.T) {
	fault := func(code int) any {
		return xmlrpc.Struct{{Name: "faultCode", Value: code}, {Name: "faultString", Value: "why"}}
	}
	s := serveRPC(t, answerValue(func(calls []xmlrpc.Call) any {
		if len(calls) == 2 {
			return results(2)
		}
		return []any{[]any{1}, fault(-32500), fault(4), []any{"x"}}
	}))
	l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m;struct=1")
	l.deliver(1)
	l.deliver(2)
	batch := l.events(4)
	l.Deliver(batch)
	ok := evid.Result{Verdict: evid.Delivered, Sent: true, Answered: true, Code: 200}
	for i, want := range []evid.Result{
		ok,
		{Verdict: evid.Retry, Blame: evid.TheEvent, Sent: true, Answered: true, Code: -32500, Detail: "fault -32500: why"},
		{Verdict: evid.Rejected, Sent: true, Answered: true, Code: 4, Detail: "fault 4: why"},
		ok,
	} {
		wantEqual(t, fmt.Sprint("result ", i), batch[i].Result, want)
	}
	if n := l.dest.multicallSize("/RPC2", 8, time.Minute, l.dest.t.now()); n != 8 {
		t.Errorf("the next multicall has %d calls, want 8: it worked", n)
	}
}

// A server that does not answer a multicall as it should gets the events singly
// for an hour, and nothing of its answer counts.
func TestMulticallRefused(t *testing.T) {
	fault := xmlrpc.AppendFault(nil, xmlrpc.Fault{Code: -32601, String: "no such method"})
	right, err := xmlrpc.AppendResponse(nil, results(2))
	if err != nil {
		t.Fatal(err)
	}
	cutShort := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(right), right[:len(right)-1])
	for name, reply := range map[string]multicallAnswer{
		"no such method":       func(conn net.Conn, _ []xmlrpc.Call) bool { return writeReply(conn, fault) },
		"a scalar":             answerValue(func([]xmlrpc.Call) any { return 1 }),
		"nothing in it":        answerValue(func([]xmlrpc.Call) any { return []any{} }),
		"one too few":          answerValue(func(calls []xmlrpc.Call) any { return results(len(calls) - 1) }),
		"one too many":         answerValue(func(calls []xmlrpc.Call) any { return results(len(calls) + 1) }),
		"two values each":      answerValue(func([]xmlrpc.Call) any { return []any{[]any{1, 1}, []any{1, 1}} }),
		"values of both kinds": answerValue(func([]xmlrpc.Call) any { return []any{[]any{1}, 1} }),
		"structs as they are": answerValue(func(calls []xmlrpc.Call) any {
			return []any{xmlrpc.Struct{{Name: "methodName", Value: calls[0].Method}}, xmlrpc.Struct{{Name: "methodName", Value: calls[1].Method}}}
		}),
		"a struct":          answerValue(func([]xmlrpc.Call) any { return []any{[]any{1}, xmlrpc.Struct{{Name: "a", Value: 1}}} }),
		"garbage behind it": func(conn net.Conn, _ []xmlrpc.Call) bool { return writeReply(conn, append(bytes.Clone(right), 'x')) },
		"no XML":            func(conn net.Conn, _ []xmlrpc.Call) bool { return writeReply(conn, []byte("OK")) },
		"no body":           answerWith("HTTP/1.1 204 No Content\r\n\r\n"),
		"HTTP 500":          answerWith("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
		"HTTP 400":          answerWith("HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"),
		"HTTP 410":          answerWith("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"),
		"no HTTP":           answerWith("what?\r\n\r\n"),
		"half a head":       answerWith("HTTP/1.1 200 OK\r\nContent-Le"),
		"cut short":         answerWith(cutShort),
		"a body too long":   answerWith("HTTP/1.1 200 OK\r\n\r\n" + string(right) + strings.Repeat(" ", maxBody)),
		"reset": func(conn net.Conn, _ []xmlrpc.Call) bool {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			conn.(*net.TCPConn).SetLinger(0)
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveRPC(t, reply, answerRight)
			transports := newTransports(t, nil)
			l := openTestLane(t, transports, s.Addr().String()+":m;struct=1;timeout=60000")
			l.deliver(1)
			wantEqual(t, "refused", l.deliver(3), delivered(1, 3))
			wantEqual(t, "then single", l.deliver(2), delivered(1, 2))
			wantEqual(t, "events of each request", s.seen(), []int{1, 2, 1, 1})
			transports.anHourLater()
			wantEqual(t, "an hour later", l.deliver(2), delivered(2, 2))
		})
	}
}

// A server that swallows a multicall costs one time-out, and then gets the first
// event singly, with a time of its own.
func TestMulticallSwallowed(t *testing.T) {
	t.Parallel()
	s := serveRPC(t, swallow)
	l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m;struct=1;timeout=1000")
	l.deliver(1)
	wantEqual(t, "swallowed", l.deliver(2), delivered(1, 2))
	wantEqual(t, "then single", l.deliver(2), delivered(1, 2))
	wantEqual(t, "events of each request", s.seen(), []int{1, 2, 1, 1})
}

// swallow says nothing until the client has gone.
func swallow(conn net.Conn, _ []xmlrpc.Call) bool {
	io.Copy(io.Discard, conn)
	return false
}

// hangUp closes without a byte of reply.
func hangUp(net.Conn, []xmlrpc.Call) bool { return false }

// A connection that was used before may just have been closed: the multicall goes
// once more over a new one. If that ends too, it was the multicall.
func TestMulticallHungUp(t *testing.T) {
	for _, test := range []struct {
		name    string
		answers []multicallAnswer
		want    []evid.Verdict
		sizes   []int
	}{
		{"once", []multicallAnswer{hangUp, answerRight}, delivered(2, 3), []int{1, 2, 2}},
		{"twice", []multicallAnswer{hangUp, hangUp, answerRight}, delivered(1, 3), []int{1, 2, 2, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serveRPC(t, test.answers...)
			l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m;struct=1;timeout=60000")
			l.deliver(1)
			wantEqual(t, "verdicts", l.deliver(3), test.want)
			wantEqual(t, "events of each request", s.seen(), test.sizes)
		})
	}
}

// That there is no connection says nothing about multicalls.
func TestMulticallNoConnection(t *testing.T) {
	s := serveRPC(t, answerRight)
	l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m;struct=1")
	l.deliver(1)
	l.Idle()
	s.Close()
	s.done.Wait()
	batch := l.events(2)
	l.Deliver(batch)
	wantEqual(t, "first", batch[0].Result, evid.Result{
		Verdict: evid.Retry, Blame: evid.TheDestination, Detail: "connect to " + s.Addr().String() + ": connection refused",
	})
	wantEqual(t, "second", batch[1].Result, evid.Result{})
	if n := l.dest.multicallSize("/RPC2", 2, time.Minute, l.dest.t.now()); n != 2 {
		t.Errorf("the next multicall has %d calls, want 2", n)
	}
}

// An event that was in a multicall may have been received, also when it could
// not be sent singly then.
func TestMulticallSentAndThenRefused(t *testing.T) {
	var s *rpcServer
	s = serveRPC(t, func(conn net.Conn, _ []xmlrpc.Call) bool {
		s.Close()
		io.WriteString(conn, "HTTP/1.1 500 No\r\n\r\n")
		return false
	})
	l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m;struct=1")
	l.deliver(1)
	batch := l.events(2)
	l.Deliver(batch)
	if r := batch[0].Result; r.Blame != evid.TheDestination || !r.Sent {
		t.Errorf("result: %+v", r)
	}
}

func TestMulticallClose(t *testing.T) {
	read := make(chan struct{})
	s := serveRPC(t, func(conn net.Conn, calls []xmlrpc.Call) bool {
		close(read)
		return swallow(conn, calls)
	})
	l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m;struct=1;timeout=60000")
	l.dest.called("/RPC2", proven(1)) // its first connection: it is not tried over another
	done := make(chan []evid.Item)
	go func() {
		batch := l.events(2)
		l.Deliver(batch)
		done <- batch
	}()
	<-read
	l.Close()
	for _, item := range <-done {
		wantEqual(t, "result", item.Result, evid.Result{})
	}
	if l.dest.multicallSize("/RPC2", 2, time.Minute, l.dest.t.now()) != 2 {
		t.Error("closing the lane was taken for the server's fault")
	}
}

// The slower a call, the fewer go in one: 32 of 200 ms would not be answered in
// 5 s. A quarter of that is for 6 of them.
func TestMulticallOfSlowCalls(t *testing.T) {
	for _, test := range []struct {
		took  time.Duration
		sizes []int
	}{{200 * time.Millisecond, []int{6}}, {time.Second, []int{1}}, {10 * time.Millisecond, []int{32}}} {
		s := serveRPC(t, answerRight)
		l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m;struct=1")
		l.dest.called("/RPC2", proven(test.took))
		l.dest.multicallWorked("/RPC2", 32, 32*test.took)
		l.deliver(32)
		wantEqual(t, fmt.Sprintf("events of each request, calls of %v", test.took), s.seen(), test.sizes)
	}
}

func TestMeanTime(t *testing.T) {
	var d destination
	mean := func() time.Duration { return d.pathLocked("/").mean }
	d.called("/", proven(80*time.Millisecond))
	wantEqual(t, "first", mean(), 80*time.Millisecond)
	d.called("/", proven(160*time.Millisecond))
	wantEqual(t, "a slower one", mean(), 90*time.Millisecond)
	d.multicallWorked("/", 10, 100*time.Millisecond)
	wantEqual(t, "a batch", mean(), 80*time.Millisecond)
	for range 200 {
		d.called("/", proven(0))
	}
	if mean() <= 0 {
		t.Error("no time at all")
	}
	wantEqual(t, "another path", d.pathLocked("/other").mean, 0)
}

// An hour after a refusal batches are small again.
func TestMulticallStartsAnew(t *testing.T) {
	var d destination
	d.called("/", proven(1))
	d.multicallWorked("/", 16, 16)
	wantEqual(t, "before", d.multicallSize("/", 32, time.Second, 0), 32)
	d.multicallFailed("/", 0)
	wantEqual(t, "nearly an hour later", d.multicallSize("/", 32, time.Second, time.Hour-1), 0)
	wantEqual(t, "an hour later", d.multicallSize("/", 32, time.Second, time.Hour), 2)
}

// The body of a multicall is bounded; what does not fit is for the next, and an
// event that fills one alone goes singly.
func TestMulticallOfLargeEvents(t *testing.T) {
	s := serveRPC(t, answerRight)
	l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m;struct=1;timeout=60000")
	l.deliver(1)
	l.dest.multicallWorked("/RPC2", 32, 32)
	large := evid.String("", strings.Repeat("x", 30<<10))
	wantEqual(t, "30 KiB each", l.deliver(32, large), delivered(8, 32))
	huge := evid.String("", strings.Repeat("x", 300<<10))
	wantEqual(t, "300 KiB each", l.deliver(2, huge), delivered(1, 2))
	mixed := append(l.events(2), l.events(1, huge)...)
	l.Deliver(mixed)
	wantEqual(t, "small and huge", verdicts(mixed), delivered(2, 3))
	wantEqual(t, "events of each request", s.seen(), []int{1, 8, 1, 2})
}

// A server that does not speak XML-RPC is never sent a multicall.
func TestMulticallUnproven(t *testing.T) {
	for _, body := range []string{"OK", "<methodResponse>OK", "<methodResponse><params><param>1</param></params></methodResponse>"} {
		s := serve(t, "tcp", "127.0.0.1:0", func(s *testServer, conn net.Conn, r *bufio.Reader) {
			for {
				if _, ok := s.request(r); !ok || !writeReply(conn, []byte(body)) {
					return
				}
			}
		})
		l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m;struct=1")
		for range 3 {
			wantEqual(t, body, l.deliver(2), delivered(1, 2))
			if call := <-s.requests; strings.Contains(call, "system.multicall") {
				t.Errorf("%s is sent a multicall", body)
			}
		}
	}
}

// A fault, too, proves that XML-RPC is spoken.
func TestMulticallProvenByFault(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0", func(s *testServer, conn net.Conn, r *bufio.Reader) {
		for {
			if _, ok := s.request(r); !ok {
				return
			}
			if body := <-s.requests; strings.Contains(body, "system.multicall") {
				answerRight(conn, make([]xmlrpc.Call, 2))
			} else {
				writeReply(conn, xmlrpc.AppendFault(nil, xmlrpc.Fault{Code: 4, String: "no"}))
			}
		}
	})
	l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m;struct=1")
	wantEqual(t, "fault", l.deliver(1), []evid.Verdict{evid.Rejected})
	wantEqual(t, "multicall", l.deliver(2), delivered(2, 2))
}

// In steady state a multicall of 32 allocates nothing.
func TestMulticallAllocates(t *testing.T) {
	body, err := xmlrpc.AppendMulticallResponse(nil, make([]xmlrpc.MulticallResult, maxMulticall))
	if err != nil {
		t.Fatal(err)
	}
	size := make(chan int, 1) // of a request
	s := serve(t, "tcp", "127.0.0.1:0", func(_ *testServer, conn net.Conn, _ *bufio.Reader) {
		reply := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		request := make([]byte, <-size)
		for {
			if _, err := io.ReadFull(conn, request); err != nil {
				return
			}
			conn.Write(reply)
		}
	})
	l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m;struct=1;timeout=60000")
	l.dest.called("/RPC2", proven(1))
	l.dest.multicallWorked("/RPC2", maxMulticall, 1)
	batch := l.events(maxMulticall, evid.String("ip", "192.168.2.11"))
	var b buffers
	if n := b.writeMulticall(l.socket, batch); n != len(batch) {
		t.Fatalf("%d events in a request", n)
	}
	size <- len(b.request)
	allocs := testing.AllocsPerRun(200, func() {
		for i := range batch {
			batch[i].Result = evid.Result{}
		}
		l.Deliver(batch)
	})
	wantEqual(t, "verdicts", verdicts(batch), delivered(len(batch), len(batch)))
	if allocs > 0 && !raceDetector {
		t.Errorf("%v allocations per multicall", allocs)
	}
}

// RPC::XML answers with the values as they are: they have been executed, and count.
func TestMulticallBareValues(t *testing.T) {
	s := serveRPC(t, answerValue(func(calls []xmlrpc.Call) any {
		values := make([]any, len(calls))
		for i := range values {
			values[i] = i
		}
		return values
	}))
	l := openTestLane(t, newTransports(t, nil), s.Addr().String()+":m;struct=1;timeout=60000")
	l.deliver(1)
	wantEqual(t, "two", l.deliver(3), delivered(2, 3))
	wantEqual(t, "twice as many", l.deliver(4), delivered(4, 4))
	wantEqual(t, "events of each request", s.seen(), []int{1, 2, 4})
}
