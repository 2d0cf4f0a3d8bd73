package sip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/emiago/sipgo/sip"
)

// maxMessage is how large a message may be, in bytes: as large as a datagram.
const maxMessage = 64 << 10

// A Handler handles a request. It is called by several goroutines at a time, and must
// return soon after ctx is done.
type Handler func(ctx context.Context, r *Request)

// A Disconnect says which connection was closed, by whomever.
type Disconnect struct {
	Proto  string         // [TCP] or [TLS]
	Source netip.AddrPort // the peer
	Dest   netip.AddrPort // the address of the server that it was connected to
}

// Options are what a [Server] is made of.
type Options struct {
	Params  Params
	Sockets []Socket // to listen on
	Handler Handler
	// Disconnected, unless nil, is called for each connection that was closed before Stop,
	// by the goroutine that served it.
	Disconnected func(Disconnect)
	Log          *slog.Logger
}

// A Server receives SIP requests. [New] makes one.
type Server struct {
	opts   Options
	tls    *tls.Config
	lines  *sip.Parser
	seed   maphash.Seed // of the tags in To
	counts counts

	ctx     context.Context // of the handlers
	cancel  context.CancelFunc
	running sync.WaitGroup // all goroutines

	datagrams []*udpSocket
	listeners []listener
	buffers   sync.Pool // of *[]byte, for messages
	replies   sync.Pool // of *[]byte

	mu       sync.Mutex
	stopping bool
	streams  map[*stream]bool // those open: whether a request of it is being handled
}

// A listener accepts connections on a socket.
type listener struct {
	*net.TCPListener
	proto string
}

// New returns a server that does not listen yet. The error says what cannot be so.
func New(opts Options) (*Server, error) {
	if err := opts.Params.check(); err != nil {
		return nil, err
	}
	s := &Server{
		opts: opts, lines: newLines(), seed: maphash.MakeSeed(), streams: make(map[*stream]bool),
		buffers: sync.Pool{New: func() any { return newBuffer(maxMessage) }},
		replies: sync.Pool{New: func() any { return newBuffer(1 << 10) }},
	}
	if slices.ContainsFunc(opts.Sockets, func(socket Socket) bool { return socket.Proto == TLS }) {
		var err error
		if s.tls, err = opts.Params.loadTLS(); err != nil {
			return nil, err
		}
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

func newBuffer(size int) *[]byte {
	b := make([]byte, size)
	return &b
}

// Start listens on all sockets and serves until [Server.Stop]. After an error it listens
// on none.
func (s *Server) Start() error {
	for _, socket := range s.opts.Sockets {
		if err := s.listen(socket); err != nil {
			s.close()
			return fmt.Errorf("listen on %v: %w", socket, err)
		}
	}
	for _, u := range s.datagrams {
		u.start()
	}
	for _, l := range s.listeners {
		s.running.Go(func() { s.accept(l) })
	}
	return nil
}

func (s *Server) listen(socket Socket) error {
	if socket.Proto == UDP {
		u, err := s.listenUDP(socket)
		if err == nil {
			s.datagrams = append(s.datagrams, u)
		}
		return err
	}
	network := "tcp4"
	if socket.Addr.Addr().Is6() {
		network = "tcp6"
	}
	l, err := net.ListenTCP(network, net.TCPAddrFromAddrPort(socket.Addr))
	if err == nil {
		s.listeners = append(s.listeners, listener{l, socket.Proto})
	}
	return err
}

// Sockets returns what the server listens on after [Server.Start]: those over UDP first,
// with the ports that they have got.
func (s *Server) Sockets() []Socket {
	var sockets []Socket
	for _, u := range s.datagrams {
		sockets = append(sockets, Socket{UDP, addrPort(u.conn.LocalAddr())})
	}
	for _, l := range s.listeners {
		sockets = append(sockets, Socket{l.proto, addrPort(l.Addr())})
	}
	return sockets
}

// addrPort is the address of a UDP or TCP socket, an IPv4 one as such.
func addrPort(addr net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch addr := addr.(type) {
	case *net.UDPAddr:
		ap = addr.AddrPort()
	case *net.TCPAddr:
		ap = addr.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// Stop takes no more messages and waits for the requests that are being handled. When ctx
// is done, theirs is, too. When it returns, nothing of the server runs. The error says
// that requests were cut short.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	for c, busy := range s.streams {
		if !busy {
			c.plain.Close()
		}
	}
	s.mu.Unlock()
	for _, u := range s.datagrams {
		u.stop()
	}
	for _, l := range s.listeners {
		l.Close()
	}
	ended := make(chan struct{})
	var cutting sync.WaitGroup
	cutting.Go(func() {
		select {
		case <-ctx.Done():
			s.cancel()
		case <-ended:
		}
	})
	s.running.Wait()
	close(ended)
	cutting.Wait()
	cutShort := s.ctx.Err() != nil
	s.close()
	if cutShort {
		return fmt.Errorf("stop SIP: requests were cut short: %w", context.Cause(ctx))
	}
	return nil
}

// close releases what the server holds. No goroutine of it runs.
func (s *Server) close() {
	s.cancel()
	for _, u := range s.datagrams {
		u.conn.Close()
	}
	for _, l := range s.listeners {
		l.Close()
	}
}

// message handles one message that has come in.
func (s *Server) message(data []byte, from netip.AddrPort, proto string, out sender) {
	if isReply(data) {
		s.counts.replies.Add(1)
		return
	}
	r := &Request{source: from, proto: proto, server: s, out: out}
	if err := r.parse(s.lines, data); err != nil {
		s.counts.malformed.Add(1)
		s.opts.Log.Debug("malformed SIP message", "from", from, "proto", proto, "err", err)
		s.refuse(r, err)
		return
	}
	if r.isOwnACK() {
		s.counts.acks.Add(1)
		return
	}
	s.counts.requests.Add(1)
	s.opts.Handler(s.ctx, r)
}

// refuse answers a malformed request, if it says enough to be answered.
func (s *Server) refuse(r *Request, err error) {
	wrong, ok := errors.AsType[*malformed](err)
	if !ok || !r.answerable {
		return
	}
	reason := map[int]string{
		badRequest: "Bad Request", versionNotSupported: "Version Not Supported", messageTooLarge: "Message Too Large",
	}[wrong.code]
	if err := r.Reply(wrong.code, reason, nil); err != nil {
		s.opts.Log.Debug("malformed SIP request is not answered", "err", err)
	}
}
