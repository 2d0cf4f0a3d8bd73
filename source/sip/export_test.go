package sip

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
)

// Treat lets a server that does not listen have a datagram, and returns the method of the
// request that its handler got and the last reply that it sent.
func Treat(data []byte) (method, reply string, stats Stats) {
	opts := Options{Params: DefaultParams(), Log: slog.New(slog.DiscardHandler)}
	opts.Handler = func(_ context.Context, r *Request) {
		method = r.Method()
		_ = r.Reply(200, "OK", nil)
	}
	s, err := New(opts)
	if err != nil {
		panic(err)
	}
	defer s.cancel()
	var sent sentReply
	s.message(data, netip.MustParseAddrPort("192.0.2.1:5060"), UDP, &sent)
	return method, string(sent), s.Stats()
}

// Handling returns what handles a datagram and answers it, but for reading and sending it.
func Handling(data []byte) func() {
	opts := Options{Params: DefaultParams(), Log: slog.New(slog.DiscardHandler)}
	opts.Handler = func(_ context.Context, r *Request) { _ = r.Reply(200, "OK", nil) }
	s, err := New(opts)
	if err != nil {
		panic(err)
	}
	var sent sentReply
	from := netip.MustParseAddrPort("192.0.2.1:5060")
	return func() { s.message(data, from, UDP, &sent) }
}

// Overflowed is how many datagrams the kernel has dropped.
func Overflowed(conn *net.UDPConn) uint64 { return overflowed(conn) }

// Frame finds the end of a message in a stream.
func Frame(data []byte, scanned int) (int, error) { return frame(data, scanned) }

type sentReply []byte

func (s *sentReply) send(data []byte, _ netip.AddrPort) error {
	*s = append((*s)[:0], data...)
	return nil
}
