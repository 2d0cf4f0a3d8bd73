package crash_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evid/evid/xmlrpc"
)

// A key names an event: its raiser counts.
type key struct{ raiser, n int64 }

// What a receiver answers.
type answer uint8

const (
	taken answer = iota
	refused
	again
)

// An arrival is an event as it came to a receiver.
type arrival struct {
	event string
	key
	id       string
	instance int // the process that it came from
	at       time.Time
	answer   answer
}

// A receiver is an XML-RPC server. It notes what each method was called with.
type receiver struct {
	t       *testing.T
	addr    string
	delay   time.Duration // of each answer
	refuses float64       // how many of the events are refused for good
	retries float64       // and how many are to come again

	server *http.Server
	done   chan struct{}

	mu       sync.Mutex
	rand     *rand.Rand
	arrivals map[string][]arrival // by method
	count    int
	downs    []time.Time
}

func newReceiver(t *testing.T, r *receiver) *receiver {
	t.Helper()
	r.t, r.addr = t, "127.0.0.1:0"
	r.arrivals = make(map[string][]arrival)
	if r.rand == nil {
		r.rand = rand.New(rand.NewPCG(1, 2))
	}
	r.up()
	t.Cleanup(r.down)
	return r
}

// up begins to listen.
func (r *receiver) up() {
	r.t.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.addr = l.Addr().String()
	r.server = &http.Server{Handler: r}
	r.done = make(chan struct{})
	go func() {
		defer close(r.done)
		r.server.Serve(l)
	}()
}

// down closes all connections.
func (r *receiver) down() {
	if r.server == nil {
		return
	}
	r.mu.Lock()
	r.downs = append(r.downs, time.Now())
	r.mu.Unlock()
	r.server.Close()
	<-r.done
	r.server = nil
}

func (r *receiver) socket(method, options string) string {
	return "xmlrpc:" + r.addr + ":" + method + options
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // killed while it was sending
	}
	call, err := xmlrpc.DecodeCall(body, xmlrpc.Limits{Bytes: 4 << 20})
	if err != nil {
		r.t.Errorf("read call: %v\n%.200s", err, body)
		http.Error(w, "no call", http.StatusBadRequest)
		return
	}
	if r.delay > 0 {
		timer := time.NewTimer(r.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-req.Context().Done():
			return
		}
	}
	instance, _ := strconv.Atoi(strings.TrimPrefix(req.UserAgent(), "evid/"))
	if call.Method != "system.multicall" {
		result := r.take(*call, req.Header.Get("Webhook-Id"), instance)
		if result.Fault != nil {
			w.Write(xmlrpc.AppendFault(nil, *result.Fault))
			return
		}
		reply, _ := xmlrpc.AppendResponse(nil, result.Value)
		w.Write(reply)
		return
	}
	calls, err := call.Multicall()
	ids := strings.FieldsFunc(req.Header.Get("Evid-Event-Ids"), func(c rune) bool { return c == ' ' || c == ',' })
	if err != nil || len(ids) != len(calls) {
		r.t.Errorf("a multicall of %d with %d ids, %v", len(calls), len(ids), err)
		return
	}
	results := make([]xmlrpc.MulticallResult, len(calls))
	for i, c := range calls {
		results[i] = r.take(c, ids[i], instance)
	}
	reply, _ := xmlrpc.AppendMulticallResponse(nil, results)
	w.Write(reply)
}

// take notes one event, and says what to answer.
func (r *receiver) take(c xmlrpc.Call, id string, instance int) xmlrpc.MulticallResult {
	a := arrival{id: id, instance: instance, at: time.Now()}
	for i, p := range c.Params {
		if name, ok := p.Value.(string); i == 0 && ok {
			a.event = name
		}
		s, _ := p.Value.(xmlrpc.Struct)
		if len(s) != 1 {
			continue
		}
		switch n, _ := s[0].Value.(int64); s[0].Name {
		case "r":
			a.raiser = n
		case "n":
			a.n = n
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch chance := r.rand.Float64(); {
	case chance < r.refuses:
		a.answer = refused
	case chance < r.refuses+r.retries:
		a.answer = again
	}
	r.count++
	r.arrivals[c.Method] = append(r.arrivals[c.Method], a)
	switch a.answer {
	case refused:
		return xmlrpc.MulticallResult{Fault: &xmlrpc.Fault{Code: 7, String: "never"}}
	case again:
		return xmlrpc.MulticallResult{Fault: &xmlrpc.Fault{Code: -32500, String: "not now"}}
	}
	return xmlrpc.MulticallResult{Value: "OK"}
}

// of returns what came for a method.
func (r *receiver) of(method string) []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.arrivals[method]
}

func (r *receiver) total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}
