package xmlrpc

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/evid/evid"
)

// A testServer serves one connection at a time with a function of its own and
// notes the requests.
type testServer struct {
	net.Listener
	requests chan string
	done     sync.WaitGroup
}

// serve starts a server on the loopback interface. Each connection is served by
// the next of serve, the last of them for all further ones.
func serve(t *testing.T, network, addr string, serve ...func(s *testServer, conn net.Conn, r *bufio.Reader)) *testServer {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &testServer{Listener: l, requests: make(chan string, 100)}
	s.done.Go(func() {
		for i := 0; ; i++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(time.Minute))
			serve[min(i, len(serve)-1)](s, conn, bufio.NewReader(conn))
			conn.Close()
		}
	})
	t.Cleanup(func() { l.Close(); s.done.Wait() })
	return s
}

// request reads one request and notes its body.
func (s *testServer) request(r *bufio.Reader) (*http.Request, bool) {
	request, err := http.ReadRequest(r)
	if err != nil {
		return nil, false
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, false
	}
	s.requests <- string(body)
	return request, true
}

func answer(conn io.Writer) {
	fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(methodResponse), methodResponse)
}

// wellBehaved answers all requests of a connection.
func wellBehaved(s *testServer, conn net.Conn, r *bufio.Reader) {
	for {
		if _, ok := s.request(r); !ok {
			return
		}
		answer(conn)
	}
}

// once answers one request and closes without having said so.
func once(s *testServer, conn net.Conn, r *bufio.Reader) {
	if _, ok := s.request(r); ok {
		answer(conn)
	}
}

// openLane returns a function that delivers an event with one parameter.
func openLane(t *testing.T, transports *Transports, socket string) (evid.Lane, func(value string) evid.Result) {
	t.Helper()
	scheme, addr, _ := strings.Cut(socket, ":")
	for _, transport := range transports.Schemes() {
		if transport.Scheme() != scheme {
			continue
		}
		s, err := transport.Parse(addr)
		if err != nil {
			t.Fatal(err)
		}
		lane := transport.Open(s)
		t.Cleanup(func() { lane.Close() })
		return lane, func(value string) evid.Result {
			batch := []evid.Item{{Event: &evid.Event{Name: "E_X", Params: []evid.Param{evid.String("v", value)}}, Socket: s}}
			lane.Deliver(batch)
			return batch[0].Result
		}
	}
	t.Fatalf("no transport for %s", socket)
	return nil, nil
}

func wantDelivered(t *testing.T, r evid.Result) {
	t.Helper()
	if r.Verdict != evid.Delivered {
		t.Fatalf("result: %+v", r)
	}
}

func TestConnectionIsKept(t *testing.T) {
	connections := 0
	s := serve(t, "tcp", "127.0.0.1:0", func(s *testServer, conn net.Conn, r *bufio.Reader) {
		connections++
		wellBehaved(s, conn, r)
	})
	opened, deliver := openLane(t, newTransports(t, nil), "xmlrpc:"+s.Addr().String()+":m")
	for range 3 {
		wantDelivered(t, deliver("x"))
	}
	opened.Idle()
	wantDelivered(t, deliver("x"))
	opened.(*lane).conn.dialled -= maxConnectionAge // it has been busy for long
	wantDelivered(t, deliver("x"))
	wantDelivered(t, deliver("x"))
	opened.Close()
	s.Close()
	s.done.Wait()
	if connections != 3 {
		t.Errorf("%d connections, want 3: until the lane was idle, until it was old, and the last", connections)
	}
}

func TestKeepaliveOff(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0", func(s *testServer, conn net.Conn, r *bufio.Reader) {
		if request, ok := s.request(r); !ok || request.Header.Get("Connection") != "close" && !request.Close {
			t.Errorf("request %v", request)
		}
		answer(conn)
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("the connection was not closed: %v", err)
		}
	})
	_, deliver := openLane(t, newTransports(t, nil), "xmlrpc:"+s.Addr().String()+":m;keepalive=0")
	for range 3 {
		wantDelivered(t, deliver("x"))
	}
}

// A server that closes without a word after each reply (Frontier::Daemon) gets
// each event once, over as many connections.
func TestUnannouncedClose(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0", once)
	_, deliver := openLane(t, newTransports(t, nil), "xmlrpc:"+s.Addr().String()+":m")
	for i := range 20 {
		wantDelivered(t, deliver(fmt.Sprint("event ", i)))
	}
	for i := range 20 {
		if body := <-s.requests; !strings.Contains(body, fmt.Sprint(">event ", i, "<")) {
			t.Errorf("call %d: %s", i, body)
		}
	}
	if len(s.requests) != 0 {
		t.Errorf("%d calls too many", len(s.requests))
	}
}

// Only a connection that was used before is worth a second attempt, and only if
// not a byte came.
func TestNoSecondAttempt(t *testing.T) {
	hangUp := func(s *testServer, _ net.Conn, r *bufio.Reader) { s.request(r) }
	halfReply := func(s *testServer, conn net.Conn, r *bufio.Reader) {
		if _, ok := s.request(r); ok {
			answer(conn)
		}
		if _, ok := s.request(r); ok {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Le")
		}
	}
	t.Run("new connection", func(t *testing.T) {
		s := serve(t, "tcp", "127.0.0.1:0", hangUp)
		_, deliver := openLane(t, newTransports(t, nil), "xmlrpc:"+s.Addr().String()+":m")
		if r := deliver("x"); r.Verdict != evid.Retry || r.Blame != evid.TheSubscriber || !r.Sent {
			t.Errorf("result: %+v", r)
		}
		if len(s.requests) != 1 {
			t.Errorf("sent %d times", len(s.requests))
		}
	})
	t.Run("part of a reply", func(t *testing.T) {
		s := serve(t, "tcp", "127.0.0.1:0", halfReply)
		_, deliver := openLane(t, newTransports(t, nil), "xmlrpc:"+s.Addr().String()+":m")
		wantDelivered(t, deliver("x"))
		if r := deliver("y"); r.Verdict != evid.Retry || r.Blame != evid.TheSubscriber {
			t.Errorf("result: %+v", r)
		}
		if len(s.requests) != 2 {
			t.Errorf("sent %d times", len(s.requests))
		}
	})
}

func TestHeaders(t *testing.T) {
	for _, test := range []struct {
		options string
		want    map[string]string
	}{
		{"", map[string]string{"User-Agent": "OpenSIPS XMLRPC Notifier", "Webhook-Id": "0000000000000007000000000000002a", "Connection": ""}},
		{";user_agent=Mine 1.0", map[string]string{"User-Agent": "Mine 1.0"}},
	} {
		head := make(chan http.Header, 1)
		s := serve(t, "tcp", "127.0.0.1:0", func(s *testServer, conn net.Conn, r *bufio.Reader) {
			if request, ok := s.request(r); ok {
				head <- request.Header
			}
			answer(conn)
		})
		transport := newTransports(t, nil).Schemes()[0]
		sock, err := transport.Parse(s.Addr().String() + ":m" + test.options)
		if err != nil {
			t.Fatal(err)
		}
		lane := transport.Open(sock)
		defer lane.Close()
		batch := []evid.Item{{Event: &evid.Event{Name: "E_X", ID: evid.ID{Epoch: 7, Seq: 42}}, Socket: sock}}
		lane.Deliver(batch)
		wantDelivered(t, batch[0].Result)
		got := <-head
		for name, value := range test.want {
			if got.Get(name) != value {
				t.Errorf("%s is %q, want %q", name, got.Get(name), value)
			}
		}
	}
}

func TestEventIDAndBigInt(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0", wellBehaved)
	transports := newTransports(t, nil)
	transport := transports.Schemes()[0]
	e := &evid.Event{Name: "E_X", ID: evid.ID{Epoch: 7, Seq: 42}, Params: []evid.Param{evid.Int("n", 1<<40), evid.String("c", "\x01\xff")}}
	for options, want := range map[string][]string{
		"":                        {"<string>1099511627776</string>"},
		";big_int=i8":             {"<i8>1099511627776</i8>"},
		";event_id=1;struct=1":    {"<name>event_id</name>\n<value><string>0000000000000007000000000000002a</string></value>\n</member></struct></value>\n</param>\n</params>"},
		";event_id=1;big_int=i8":  {"<name>event_id</name>\n<value><string>0000000000000007000000000000002a</string></value>\n</param>\n</params>"},
		";struct=1;big_int=i8":    {"<value><i8>1099511627776</i8></value>\n</member>"},
		";struct=1;confirm=1":     {"<string>\ufffd\ufffd</string>"},
		";struct=1;timeout=10000": {"<methodName>m</methodName>"},
	} {
		sock, err := transport.Parse(s.Addr().String() + ":m" + options)
		if err != nil {
			t.Fatal(err)
		}
		lane := transport.Open(sock)
		batch := []evid.Item{{Event: e, Socket: sock}}
		lane.Deliver(batch)
		lane.Close()
		wantDelivered(t, batch[0].Result)
		body := <-s.requests
		for _, part := range want {
			if !strings.Contains(body, part) {
				t.Errorf("%q sends\n%s\nwithout %s", options, body, part)
			}
		}
	}
	// Five of the seven ask for a form of their own: the first four encodings are kept.
	if n := transports.Replaced(); n < 2*5 || n > 2*7 {
		t.Errorf("%d characters replaced", n)
	}
}

// With confirm=0 nobody waits for a reply, and one that comes kills nobody.
func TestUnconfirmed(t *testing.T) {
	replied := make(chan error, 1)
	s := serve(t, "tcp", "127.0.0.1:0",
		func(_ *testServer, _ net.Conn, r *bufio.Reader) { // reads to EOF and answers nothing
			io.Copy(io.Discard, r)
		},
		func(s *testServer, conn net.Conn, r *bufio.Reader) { // answers a lot
			s.request(r)
			_, err := conn.Write(make([]byte, 500_000))
			replied <- err
		})
	_, deliver := openLane(t, newTransports(t, nil), "xmlrpc:"+s.Addr().String()+":m;confirm=0")
	for range 2 {
		if r := deliver("x"); r.Verdict != evid.Unconfirmed || !r.Sent || r.Detail != "" {
			t.Errorf("result: %+v", r)
		}
	}
	if err := <-replied; err != nil {
		t.Errorf("the receiver's reply: %v", err)
	}
}

// What comes over a connection between two calls is not the reply to the second,
// also when it came together with the reply to the first.
func TestUnaskedBytes(t *testing.T) {
	const no = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
	for _, together := range []bool{false, true} {
		delivered, sent := make(chan struct{}), make(chan struct{})
		s := serve(t, "tcp", "127.0.0.1:0",
			func(s *testServer, conn net.Conn, r *bufio.Reader) {
				s.request(r)
				if together {
					var both bytes.Buffer
					answer(&both)
					answer(&both)
					both.WriteTo(conn)
				} else {
					answer(conn)
					<-delivered
					answer(conn)
					close(sent)
				}
				io.Copy(io.Discard, r)
			},
			func(s *testServer, conn net.Conn, r *bufio.Reader) {
				s.request(r)
				io.WriteString(conn, no)
			})
		_, deliver := openLane(t, newTransports(t, nil), "xmlrpc:"+s.Addr().String()+":m")
		wantDelivered(t, deliver("x"))
		if !together {
			close(delivered)
			<-sent
		}
		if r := deliver("y"); r.Verdict != evid.Rejected {
			t.Errorf("the second event got %+v, want the 400 that it was answered with", r)
		}
	}
}

// Over TLS a reply nobody asked for may have been read together with the one
// before, as a record of its own.
func TestUnaskedRecords(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		calls, sent := 0, make(chan struct{})
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls++
			if calls > 1 {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			conn, out, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			answer(out)
			out.Flush()
			answer(out)
			out.Flush()
			close(sent)
			io.Copy(io.Discard, out)
		}))
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
		server.TLS = &tls.Config{MinVersion: version, MaxVersion: version}
		server.StartTLS()
		lane, deliver := openLane(t, newTransports(t, nil), "xmlrpcs:"+server.Listener.Addr().String()+":m;tls_verify=0")
		wantDelivered(t, deliver("x"))
		<-sent
		for range 3 {
			if r := deliver("y"); r.Verdict != evid.Rejected {
				t.Errorf("%s: a later event got %+v, want the 400 that it was answered with", tls.VersionName(version), r)
			}
		}
		lane.Close()
		server.Close()
	}
}

// An event that was sent over a connection that then broke was sent, also when
// there is no other connection to be had.
func TestSentAndThenRefused(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0", func(s *testServer, conn net.Conn, r *bufio.Reader) {
		s.request(r)
		answer(conn)
		s.request(r)
		s.Close()
	})
	_, deliver := openLane(t, newTransports(t, nil), "xmlrpc:"+s.Addr().String()+":m")
	wantDelivered(t, deliver("x"))
	if r := deliver("y"); r.Blame != evid.TheDestination || !r.Sent {
		t.Errorf("result: %+v", r)
	}
}

// A status in a head that does not end says nothing; in one that does it counts,
// whatever becomes of the body.
func TestCutReplies(t *testing.T) {
	for reply, want := range map[string]evid.Verdict{
		"HTTP/1.1 410 Gone\r\nContent-Le":                       evid.Retry,
		"HTTP/1.1 400 Bad Request\r\n":                          evid.Retry,
		"HTTP/1.1 100 Continue\r\n\r\n":                         evid.Retry,
		"HTTP/1.1 410 Gone\r\nContent-Length: 9\r\n\r\nso":      evid.Gone,
		"HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n": evid.Rejected,
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nso":        evid.Retry,
	} {
		s := serve(t, "tcp", "127.0.0.1:0", func(s *testServer, conn net.Conn, r *bufio.Reader) {
			s.request(r)
			io.WriteString(conn, reply)
		})
		_, deliver := openLane(t, newTransports(t, nil), "xmlrpc:"+s.Addr().String()+":m")
		if r := deliver("x"); r.Verdict != want || !r.Answered {
			t.Errorf("%q: %+v, want %v", reply, r, want)
		}
	}
}

func TestTimeouts(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0", func(_ *testServer, _ net.Conn, r *bufio.Reader) { io.Copy(io.Discard, r) })
	_, deliver := openLane(t, newTransports(t, nil), "xmlrpc:"+s.Addr().String()+":m;timeout=20")
	want := evid.Result{Verdict: evid.Retry, Blame: evid.TheSubscriber, Sent: true, Detail: "no reply within 20ms"}
	for range 2 {
		if r := deliver("x"); r != want {
			t.Errorf("result: %+v, want %+v", r, want)
		}
	}
}

// A closed lane lets go of whatever it waits for, and says that nothing was sent.
func TestClose(t *testing.T) {
	read := make(chan struct{}, 1)
	s := serve(t, "tcp", "127.0.0.1:0", func(s *testServer, _ net.Conn, r *bufio.Reader) {
		s.request(r)
		read <- struct{}{}
		io.Copy(io.Discard, r)
	})
	lane, deliver := openLane(t, newTransports(t, nil), "xmlrpc:"+s.Addr().String()+":m;timeout=60000")
	result := make(chan evid.Result)
	go func() { result <- deliver("x") }()
	<-read
	lane.Close()
	if r := <-result; r != (evid.Result{}) {
		t.Errorf("result: %+v, want none", r)
	}
	if r := deliver("y"); r != (evid.Result{}) {
		t.Errorf("result on a closed lane: %+v, want none", r)
	}
}

func TestNoConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, deliver := openLane(t, newTransports(t, nil), "xmlrpc:"+addr+":m")
	want := evid.Result{Verdict: evid.Retry, Blame: evid.TheDestination, Detail: "connect to " + addr + ": connection refused"}
	if r := deliver("x"); r != want {
		t.Errorf("result: %+v, want %+v", r, want)
	}
	_, deliver = openLane(t, newTransports(t, nil), "xmlrpc:no.such.host.invalid:1:m")
	if r := deliver("x"); r.Verdict != evid.Retry || r.Blame != evid.TheDestination || r.Sent {
		t.Errorf("result: %+v", r)
	}
}

func TestIPv6(t *testing.T) {
	s := serve(t, "tcp6", "[::1]:0", wellBehaved)
	_, deliver := openLane(t, newTransports(t, nil), "xmlrpc:"+s.Addr().String()+":m")
	wantDelivered(t, deliver("x"))
}

// writePEM writes a PEM file and returns its name.
func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestTLS(t *testing.T) {
	var presented atomic.Int32 // certificates, by the last client
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		presented.Store(int32(len(r.TLS.PeerCertificates)))
		io.WriteString(w, methodResponse)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	defer server.Close()
	ca := writePEM(t, "CERTIFICATE", server.Certificate().Raw)
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := writePEM(t, "PRIVATE KEY", key)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())

	for _, test := range []struct {
		name, options string
		params        func(*Params)
		delivered     bool
		presented     int32
	}{
		{"system roots", "", nil, false, 0},
		{"not verified", ";tls_verify=0", nil, true, 0},
		{"tls_ca", "", func(p *Params) { p.TLSCA = ca }, true, 0},
		{"tls_ca, unconfirmed", ";confirm=0", func(p *Params) { p.TLSCA = ca }, true, 0},
		{"client certificate", "", func(p *Params) { p.TLSCA, p.TLSCert, p.TLSKey = ca, ca, keyFile }, true, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			presented.Store(0)
			_, deliver := openLane(t, newTransports(t, test.params), "xmlrpcs:127.0.0.1:"+port+":m"+test.options)
			r := deliver("x")
			switch {
			case test.delivered && r.Verdict != evid.Delivered && r.Verdict != evid.Unconfirmed:
				t.Errorf("result: %+v", r)
			case !test.delivered && (r.Blame != evid.TheDestination || !strings.Contains(r.Detail, "certificate")):
				t.Errorf("result: %+v, want the destination blamed for its certificate", r)
			}
			if n := presented.Load(); n != test.presented {
				t.Errorf("%d certificates presented, want %d", n, test.presented)
			}
		})
	}
}

// A server that refuses the client after the handshake refuses all its
// subscribers.
func TestTLSAlert(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	defer server.Close()
	_, deliver := openLane(t, newTransports(t, nil), "xmlrpcs:"+server.Listener.Addr().String()+":m;tls_verify=0")
	if r := deliver("x"); r.Verdict != evid.Retry || r.Blame != evid.TheDestination || !strings.Contains(r.Detail, "certificate required") {
		t.Errorf("result: %+v", r)
	}
}

// Without a file descriptor nobody else is to blame, also when it is the resolver that
// has none.
func TestOutOfFileDescriptors(t *testing.T) {
	s := parseSocket(t, "localhost:1:m")
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := limit
	few.Cur = 3
	unresolved := &net.DNSError{Err: "no such host", Name: "localhost", IsNotFound: true}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	without := s.judgeDial(unresolved)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if without.Verdict != evid.Retry || without.Blame != evid.TheProcess {
		t.Errorf("without descriptors: %+v", without)
	}
	if with := s.judgeDial(unresolved); with.Blame != evid.TheDestination {
		t.Errorf("with descriptors: %+v", with)
	}
}

func TestBadTLSFiles(t *testing.T) {
	empty := writePEM(t, "NOTHING", nil)
	for _, test := range []struct {
		params func(*Params)
		want   string
	}{
		{func(p *Params) { p.TLSCA = "/no/such/file" }, "tls_ca: open /no/such/file: no such file or directory"},
		{func(p *Params) { p.TLSCA = empty }, "tls_ca: read " + empty + ": expected certificates in PEM form"},
		{func(p *Params) { p.TLSCert = empty }, "tls_cert and tls_key: open : no such file or directory"},
	} {
		params := DefaultParams()
		test.params(&params)
		if _, err := New(params); err == nil || err.Error() != test.want {
			t.Errorf("New: %v, want %s", err, test.want)
		}
	}
}

// Over an open connection a delivery of an event that is already encoded
// allocates nothing.
func TestDeliverAllocates(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0", func(_ *testServer, conn net.Conn, r *bufio.Reader) {
		reply := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(methodResponse), methodResponse)
		buf := make([]byte, 4096)
		for {
			if _, err := r.Read(buf); err != nil {
				return
			}
			conn.Write(reply)
		}
	})
	transport := newTransports(t, nil).Schemes()[0]
	sock, err := transport.Parse(s.Addr().String() + ":m")
	if err != nil {
		t.Fatal(err)
	}
	lane := transport.Open(sock)
	defer lane.Close()
	e := &evid.Event{Name: "E_X", Params: []evid.Param{evid.String("ip", "192.168.2.11")}}
	batch := []evid.Item{{Event: e, Socket: sock}}
	n := testing.AllocsPerRun(200, func() {
		batch[0].Result = evid.Result{}
		lane.Deliver(batch)
	})
	wantDelivered(t, batch[0].Result)
	if n > 0 && !raceDetector {
		t.Errorf("%v allocations per delivery", n)
	}
}
