package receiver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid/xmlrpc"
)

const pikeCall = `<?xml version="1.0"?><methodCall><methodName>block_ip</methodName><params>` +
	`<param><value><string>E_PIKE_BLOCKED</string></value></param>` +
	`<param><name>ip</name><value><string>192.168.2.11</string></value></param></params></methodCall>`

const multicall = `<methodCall><methodName>system.multicall</methodName><params><param><value><array><data>` +
	`<value><struct><member><name>methodName</name><value>a</value></member>` +
	`<member><name>params</name><value><array><data><value>E_A</value></data></array></value></member></struct></value>` +
	`<value><struct><member><name>methodName</name><value>b</value></member>` +
	`<member><name>params</name><value><array><data><value>E_B</value></data></array></value></member></struct></value>` +
	`</data></array></value></param></params></methodCall>`

// start starts a receiver on a free port. What it is called with, and why it
// refuses a request, arrives in calls and refusals.
func start(t *testing.T, opts Options) (r *Receiver, calls chan Call, refusals chan error) {
	t.Helper()
	calls, refusals = make(chan Call, 10), make(chan error, 10)
	opts.Addr = "127.0.0.1:0"
	opts.OnCall = func(c Call) { calls <- c }
	opts.OnRefused = func(err error) { refusals <- err }
	r = New(opts)
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r, calls, refusals
}

// post sends a request and returns status and body of the response.
func post(t *testing.T, r *Receiver, body io.Reader, header ...string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+r.Addr()+"/any/path", body)
	if err != nil {
		t.Fatal(err)
	}
	if len(header) == 2 {
		req.Header.Set(header[0], header[1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, data
}

func TestAnswers(t *testing.T) {
	r, calls, _ := start(t, Options{})
	status, body := post(t, r, strings.NewReader(pikeCall), "Webhook-Id", "42")
	result, err := xmlrpc.DecodeResponse(body, xmlrpc.Limits{})
	if status != http.StatusOK || err != nil || result != "OK" {
		t.Errorf("got %d, %v, %v", status, result, err)
	}
	want := Call{Method: "block_ip", Event: "E_PIKE_BLOCKED", Params: []Param{{"ip", "192.168.2.11"}}, ID: "42"}
	if diff := cmp.Diff(want, <-calls); diff != "" {
		t.Errorf("call (-want +got):\n%s", diff)
	}
}

func TestAnswersMulticall(t *testing.T) {
	for _, fault := range []int{0, 7} {
		r, calls, _ := start(t, Options{Fault: fault})
		_, body := post(t, r, strings.NewReader(multicall))
		results, err := xmlrpc.DecodeMulticallResponse(body, 2, xmlrpc.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for i, result := range results {
			if fault == 0 && result.Value != "OK" || fault != 0 && (result.Fault == nil || result.Fault.Code != fault) {
				t.Errorf("fault %d: result %d: %+v", fault, i+1, result)
			}
		}
		if a, b := <-calls, <-calls; a.String() != "a E_A" || b.String() != "b E_B" {
			t.Errorf("got %s, then %s", a, b)
		}
	}
}

func TestFault(t *testing.T) {
	r, calls, _ := start(t, Options{Fault: -32500})
	status, body := post(t, r, strings.NewReader(pikeCall))
	_, err := xmlrpc.DecodeResponse(body, xmlrpc.Limits{})
	fault, ok := errors.AsType[*xmlrpc.Fault](err)
	if status != http.StatusOK || !ok || fault.Code != -32500 {
		t.Errorf("got %d, %v", status, err)
	}
	<-calls
}

func TestStatus(t *testing.T) {
	r, calls, _ := start(t, Options{Status: http.StatusServiceUnavailable})
	status, body := post(t, r, strings.NewReader(pikeCall))
	if status != http.StatusServiceUnavailable || string(body) != "Service Unavailable\n" {
		t.Errorf("got %d, %q", status, body)
	}
	<-calls
}

func TestStatusOutOfRange(t *testing.T) {
	for _, status := range []int{-1, 1, 199, 600} {
		if err := New(Options{Addr: "127.0.0.1:0", Status: status}).Start(); err == nil {
			t.Errorf("status %d was accepted", status)
		}
	}
}

func TestDelay(t *testing.T) {
	const delay = 50 * time.Millisecond
	r, calls, _ := start(t, Options{Delay: delay})
	began := time.Now()
	if status, _ := post(t, r, strings.NewReader(pikeCall)); status != http.StatusOK {
		t.Errorf("got status %d", status)
	}
	if took := time.Since(began); took < delay {
		t.Errorf("answered after %v, want at least %v", took, delay)
	}
	<-calls
}

// TestNoAnswer holds that what is never or not yet answered ends with Stop.
func TestNoAnswer(t *testing.T) {
	for _, opts := range []Options{{Silent: true}, {Delay: time.Hour}} {
		r, calls, _ := start(t, opts)
		conn, err := net.Dial("tcp", r.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		req, err := http.NewRequest(http.MethodPost, "http://"+r.Addr()+"/RPC2", strings.NewReader(pikeCall))
		if err != nil {
			t.Fatal(err)
		}
		if err := req.Write(conn); err != nil {
			t.Fatal(err)
		}
		<-calls
		r.Stop()
		if resp, err := http.ReadResponse(bufio.NewReader(conn), req); err == nil {
			t.Errorf("%+v: answered %s", opts, resp.Status)
		}
	}
}

// TestPeerLeaves holds that a silent receiver does not wait for a peer that left.
func TestPeerLeaves(t *testing.T) {
	r, calls, _ := start(t, Options{Silent: true})
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.Addr(), strings.NewReader(pikeCall))
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan error, 1)
	go func() {
		_, err := http.DefaultClient.Do(req)
		left <- err
	}()
	<-calls
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	r.conns.Wait() // the handler has noticed
}

func TestRefuses(t *testing.T) {
	tests := []struct {
		name   string
		body   io.Reader
		status int
		want   string
	}{
		{"no XML", strings.NewReader("hello"), http.StatusBadRequest, "decode methodCall"},
		{"nothing", strings.NewReader(""), http.StatusBadRequest, "decode methodCall"},
		{
			"no calls in a multicall", strings.NewReader("<methodCall><methodName>system.multicall</methodName></methodCall>"),
			http.StatusBadRequest, "system.multicall",
		},
		{"too large", bytes.NewReader(make([]byte, maxBody+1)), http.StatusRequestEntityTooLarge, "larger than 4 MiB"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, calls, refusals := start(t, Options{})
			status, body := post(t, r, test.body)
			if status != test.status || !strings.Contains(string(body), test.want) {
				t.Errorf("got %d, %q, want %d, %q", status, body, test.status, test.want)
			}
			if err := <-refusals; !strings.HasPrefix(err.Error(), "refuse request from 127.0.0.1:") {
				t.Errorf("OnRefused got %v", err)
			}
			r.Stop()
			if len(calls) != 0 {
				t.Errorf("OnCall got %v", <-calls)
			}
		})
	}
}

func TestRefusesBrokenBody(t *testing.T) {
	r, _, refusals := start(t, Options{})
	req, err := http.NewRequest(http.MethodPost, "http://"+r.Addr(), iotest.ErrReader(errors.New("torn")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := http.DefaultClient.Do(req); err == nil {
		t.Error("a body that broke off was answered")
	}
	if err := <-refusals; !strings.Contains(err.Error(), "read body: ") {
		t.Errorf("OnRefused got %v", err)
	}
}

func TestRefusesGET(t *testing.T) {
	r, _, refusals := start(t, Options{})
	resp, err := http.Get("http://" + r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("got %s", resp.Status)
	}
	<-refusals
}

func TestAddressInUse(t *testing.T) {
	r, _, _ := start(t, Options{})
	err := New(Options{Addr: r.Addr()}).Start()
	if err == nil || !strings.Contains(err.Error(), r.Addr()) {
		t.Errorf("got %v, want an error that names %s", err, r.Addr())
	}
}

func TestWithoutCallbacks(t *testing.T) {
	r := New(Options{Addr: "127.0.0.1:0"})
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	if status, _ := post(t, r, strings.NewReader(pikeCall)); status != http.StatusOK {
		t.Errorf("call: got %d", status)
	}
	if status, _ := post(t, r, strings.NewReader("hello")); status != http.StatusBadRequest {
		t.Errorf("no call: got %d", status)
	}
}
