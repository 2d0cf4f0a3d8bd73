package xmlrpc

import (
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/evid/evid"
	"github.com/evid/evid/xmlrpc"
)

// serveRaw starts a server that answers each size bytes with reply, and returns
// its address. It costs as little as it can: what is measured is the other end.
func serveRaw(b *testing.B, size int, body []byte) string {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { listener.Close() })
	reply := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				conn.(*net.TCPConn).SetLinger(0) // a client that closes first leaves no port behind in TIME_WAIT
				request := make([]byte, size)
				for {
					if _, err := io.ReadFull(conn, request); err != nil {
						return
					}
					conn.Write(reply)
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// BenchmarkDeliver delivers events over one connection, one or 32 at a time.
func BenchmarkDeliver(b *testing.B) {
	transport := newTransports(b, func(p *Params) { p.UseStructParam = true }).Schemes()[0]
	for _, n := range []int{1, maxMulticall} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			other, err := transport.Parse("127.0.0.1:12345:block_ip") // a port as long as the server's
			if err != nil {
				b.Fatal(err)
			}
			s := other.(*socket)
			e := &evid.Event{Name: "E_PIKE_BLOCKED", Params: []evid.Param{evid.String("ip", "192.168.2.11")}}
			batch := make([]evid.Item, n)
			for i := range batch {
				batch[i] = evid.Item{Event: e, Socket: s}
			}
			var buf buffers
			buf.writeCall(s, e)
			body := []byte(methodResponse)
			if n > 1 {
				buf.writeMulticall(s, batch)
				body, _ = xmlrpc.AppendMulticallResponse(nil, make([]xmlrpc.MulticallResult, n)) // nil has a form
			}
			to, err := transport.Parse(serveRaw(b, len(buf.request), body) + ":block_ip")
			if err != nil {
				b.Fatal(err)
			}
			l := transport.Open(to).(*lane)
			defer l.Close()
			l.dest.called("/RPC2", proven(1))
			l.dest.multicallWorked("/RPC2", maxMulticall, 1)
			b.ReportAllocs()
			for b.Loop() {
				for i := range batch {
					batch[i] = evid.Item{Event: e, Socket: to}
				}
				l.Deliver(batch)
				if r := batch[n-1].Result; r.Verdict != evid.Delivered {
					b.Fatal(r)
				}
			}
		})
	}
}

// BenchmarkDial connects and closes.
func BenchmarkDial(b *testing.B) {
	transport := newTransports(b, nil).Schemes()[0]
	s, err := transport.Parse(serveRaw(b, 1, nil) + ":m")
	if err != nil {
		b.Fatal(err)
	}
	l := transport.Open(s).(*lane)
	defer l.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.dial(s.(*socket), new(buffers)); err != nil {
			b.Fatal(err)
		}
		l.Idle()
	}
}

// BenchmarkWriteCall makes a request of an event.
func BenchmarkWriteCall(b *testing.B) {
	s := parseSocket(b, "127.0.0.1:8081:block_ip;struct=1")
	e := &evid.Event{Name: "E_PIKE_BLOCKED", Params: []evid.Param{evid.String("ip", "192.168.2.11")}}
	var buf buffers
	b.ReportAllocs()
	for b.Loop() {
		buf.writeCall(s, e)
	}
}
