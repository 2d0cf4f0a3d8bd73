package xmlrpc

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/evid/evid"
	"github.com/evid/evid/xmlrpc"
)

// An rpcServer decodes the calls that come to it. It notes how many events each
// request had: 1 for a single call.
type rpcServer struct {
	*testServer

	mu    sync.Mutex
	sizes []int
	calls []xmlrpc.Call // the single ones, and those inside others
	ids   []string      // what the headers say
}

// multicallAnswer writes the reply to a system.multicall. False: nothing more is to
// come over the connection.
type multicallAnswer func(conn net.Conn, calls []xmlrpc.Call) bool

// serveRPC starts a server that answers single calls with 1. The nth
// system.multicall is answered by the nth of answers, all further ones by the last.
func serveRPC(t *testing.T, answers ...multicallAnswer) *rpcServer {
	t.Helper()
	s := new(rpcServer)
	multicalls := 0
	s.testServer = serve(t, "tcp", "127.0.0.1:0", func(inner *testServer, conn net.Conn, r *bufio.Reader) {
		for {
			request, ok := inner.request(r)
			if !ok {
				return
			}
			body := <-inner.requests
			call, err := xmlrpc.DecodeCall([]byte(body), xmlrpc.Limits{})
			if err != nil {
				t.Errorf("%v:\n%s", err, body)
				return
			}
			if call.Method != "system.multicall" {
				s.note(request.Header.Get("Webhook-Id"), *call)
				answer(conn)
				continue
			}
			calls, err := call.Multicall()
			if err != nil {
				t.Error(err)
				return
			}
			s.note(request.Header.Get("Evid-Event-Ids"), calls...)
			multicalls++
			if !answers[min(multicalls, len(answers))-1](conn, calls) {
				return
			}
		}
	})
	return s
}

func (s *rpcServer) note(ids string, calls ...xmlrpc.Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes = append(s.sizes, len(calls))
	s.calls = append(s.calls, calls...)
	s.ids = append(s.ids, ids)
}

// seen returns how many events each request had since it was last asked.
func (s *rpcServer) seen() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	sizes := s.sizes
	s.sizes = nil
	return sizes
}

func writeReply(conn net.Conn, body []byte) bool {
	_, err := fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return err == nil
}

// answerValue answers a system.multicall with one value as a whole.
func answerValue(v func(calls []xmlrpc.Call) any) multicallAnswer {
	return func(conn net.Conn, calls []xmlrpc.Call) bool {
		body, err := xmlrpc.AppendResponse(nil, v(calls))
		return err == nil && writeReply(conn, body)
	}
}

// answerWith answers a system.multicall with these bytes, and closes.
func answerWith(reply string) multicallAnswer {
	return func(conn net.Conn, _ []xmlrpc.Call) bool {
		io.WriteString(conn, reply)
		return false
	}
}

// results are n right ones.
func results(n int) []any {
	all := make([]any, n)
	for i := range all {
		all[i] = []any{i}
	}
	return all
}

var answerRight = answerValue(func(calls []xmlrpc.Call) any { return results(len(calls)) })

// A lane under test, and the socket it is for.
type testLane struct {
	*lane
	socket *socket
	seq    uint64
}

func openTestLane(t *testing.T, transports *Transports, addr string) *testLane {
	t.Helper()
	transport := transports.Schemes()[0]
	s, err := transport.Parse(addr)
	if err != nil {
		t.Fatal(err)
	}
	l := transport.Open(s).(*lane)
	t.Cleanup(func() { l.Close() })
	return &testLane{lane: l, socket: s.(*socket)}
}

// events returns a batch of n events with these parameters.
func (l *testLane) events(n int, params ...evid.Param) []evid.Item {
	batch := make([]evid.Item, n)
	for i := range batch {
		l.seq++
		batch[i] = evid.Item{Event: &evid.Event{ID: evid.ID{Epoch: 1, Seq: l.seq}, Name: "E_X", Params: params}, Socket: l.socket, Attempt: 1}
	}
	return batch
}

// deliver delivers n events and returns the verdicts.
func (l *testLane) deliver(n int, params ...evid.Param) []evid.Verdict {
	batch := l.events(n, params...)
	l.Deliver(batch)
	return verdicts(batch)
}

func verdicts(batch []evid.Item) []evid.Verdict {
	all := make([]evid.Verdict, len(batch))
	for i := range batch {
		all[i] = batch[i].Result.Verdict
	}
	return all
}

// delivered are the verdicts of n events of which the first of are delivered.
func delivered(of, n int) []evid.Verdict {
	all := make([]evid.Verdict, n)
	for i := range of {
		all[i] = evid.Delivered
	}
	return all
}

func wantEqual[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// anHourLater makes what was learned for an hour be over.
func (t *Transports) anHourLater() { t.start = t.start.Add(-time.Hour) }
