// Package receiver is an XML-RPC server that takes every call and hands it to a
// callback: what stands behind "evid receive", and a peer for tests. It can be
// told to misbehave as subscribers do.
package receiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/evid/evid/xmlrpc"
)

const (
	maxBody     = 4 << 20          // bytes; the largest event of evid has 512 KiB before escaping
	readTimeout = 30 * time.Second // for one request
	idleTimeout = 2 * time.Minute
	sendTimeout = 10 * time.Second // for one response, once there is one

	eventIDHeader   = "Webhook-Id"
	multicallMethod = "system.multicall"
)

// Options configure a [Receiver]. Without Fault, Status and Silent it answers
// every call with the string "OK".
type Options struct {
	Addr   string        // where to listen: "127.0.0.1:8081"; port 0 takes a free one
	Fault  int           // answer with this fault code; 0: no fault
	Status int           // answer with this HTTP status, 200 to 599, and no XML-RPC; 0: do not
	Silent bool          // never answer, until the peer leaves or the receiver stops
	Delay  time.Duration // answer this much later

	// OnCall is called for each call, before it is answered, and for each call
	// inside a system.multicall. OnRefused is called for each request that is no
	// XML-RPC call. No two of these calls run at the same time. Either may be nil.
	OnCall    func(Call)
	OnRefused func(error)
}

// A Receiver is an XML-RPC server. [New] makes one.
type Receiver struct {
	opts     Options
	callback sync.Mutex // held while a callback runs
	listener net.Listener
	server   *http.Server
	stop     context.CancelFunc // ends what handlers wait for
	serving  sync.WaitGroup
	conns    sync.WaitGroup // open connections; one is closed after its handler has returned
}

// New returns a receiver that does not listen yet.
func New(opts Options) *Receiver { return &Receiver{opts: opts} }

// Start begins to listen and to answer. A receiver is started at most once.
func (r *Receiver) Start() error {
	if s := r.opts.Status; s != 0 && (s < 200 || s > 599) {
		return fmt.Errorf("start receiver: expected a status from 200 to 599, got %d", s)
	}
	l, err := net.Listen("tcp", r.opts.Addr)
	if err != nil {
		return fmt.Errorf("start receiver: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r.listener, r.stop = l, stop
	r.server = &http.Server{
		Handler:     http.HandlerFunc(r.serve),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnState:   r.countConns,
		ReadTimeout: readTimeout,
		IdleTimeout: idleTimeout,
	}
	r.serving.Go(func() { _ = r.server.Serve(l) }) // returns when Stop closes the server
	return nil
}

// Addr returns the address at which a started receiver listens.
func (r *Receiver) Addr() string { return r.listener.Addr().String() }

// Stop closes the listener and all connections, and returns once no callback
// runs. A call whose answer is still to come gets none.
func (r *Receiver) Stop() {
	r.stop()
	r.server.Close()
	r.serving.Wait()
	r.conns.Wait()
}

func (r *Receiver) countConns(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		r.conns.Add(1)
	case http.StateClosed:
		r.conns.Done()
	}
}

func (r *Receiver) serve(w http.ResponseWriter, req *http.Request) {
	calls, multicall, err := read(w, req)
	if err != nil {
		r.refuse(w, req, err)
		return
	}
	r.handle(calls)
	if !r.pause(req.Context()) {
		panic(http.ErrAbortHandler) // net/http closes the connection without a response
	}
	// The deadline only cuts short a peer that does not read; if it cannot be
	// set, the connection has failed and so will writing.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(sendTimeout))
	if r.opts.Status != 0 {
		http.Error(w, http.StatusText(r.opts.Status), r.opts.Status)
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	if multicall {
		w.Write(r.multicallResponse(len(calls)))
	} else {
		w.Write(r.response())
	}
}

var (
	errNoPost   = errors.New("expected POST")
	errTooLarge = fmt.Errorf("the call is larger than %d MiB", maxBody>>20)
)

// read returns the call that req carries, or the calls inside it if it is a
// system.multicall.
func read(w http.ResponseWriter, req *http.Request) (calls []Call, multicall bool, err error) {
	if req.Method != http.MethodPost {
		return nil, false, fmt.Errorf("%w, got %s", errNoPost, req.Method)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, false, errTooLarge
	}
	if err != nil {
		return nil, false, fmt.Errorf("read body: %w", err)
	}
	call, err := xmlrpc.DecodeCall(body, xmlrpc.Limits{Bytes: maxBody})
	if err != nil {
		return nil, false, err
	}
	if call.Method != multicallMethod {
		return []Call{newCall(*call, req.Header.Get(eventIDHeader))}, false, nil
	}
	inner, err := call.Multicall()
	for _, c := range inner {
		calls = append(calls, newCall(c, ""))
	}
	return calls, true, err
}

func (r *Receiver) handle(calls []Call) {
	if r.opts.OnCall == nil {
		return
	}
	r.callback.Lock()
	defer r.callback.Unlock()
	for _, c := range calls {
		r.opts.OnCall(c)
	}
}

func (r *Receiver) refuse(w http.ResponseWriter, req *http.Request, err error) {
	status := http.StatusBadRequest
	switch {
	case errors.Is(err, errNoPost):
		status = http.StatusMethodNotAllowed
	case errors.Is(err, errTooLarge):
		status = http.StatusRequestEntityTooLarge
	}
	http.Error(w, err.Error(), status)
	if r.opts.OnRefused == nil {
		return
	}
	r.callback.Lock()
	defer r.callback.Unlock()
	r.opts.OnRefused(fmt.Errorf("refuse request from %s: %w", req.RemoteAddr, err))
}

// pause waits until it is time to answer. It reports false if there will be no
// answer: because the receiver is silent, or the peer left, or Stop was called.
func (r *Receiver) pause(ctx context.Context) bool {
	if r.opts.Silent {
		<-ctx.Done()
		return false
	}
	if r.opts.Delay <= 0 {
		return true
	}
	timer := time.NewTimer(r.opts.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

const ok = "OK" // what every call is answered with

func (r *Receiver) fault() xmlrpc.Fault {
	return xmlrpc.Fault{Code: r.opts.Fault, String: "as requested"}
}

func (r *Receiver) response() []byte {
	if r.opts.Fault != 0 {
		return xmlrpc.AppendFault(nil, r.fault())
	}
	body, _ := xmlrpc.AppendResponse(nil, ok) // a string always encodes
	return body
}

func (r *Receiver) multicallResponse(calls int) []byte {
	result := xmlrpc.MulticallResult{Value: ok}
	if r.opts.Fault != 0 {
		fault := r.fault()
		result = xmlrpc.MulticallResult{Fault: &fault}
	}
	body, _ := xmlrpc.AppendMulticallResponse(nil, slices.Repeat([]xmlrpc.MulticallResult{result}, calls)) // strings always encode
	return body
}
