package hep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// receiveBuffer is what the kernel is asked to keep for a UDP socket, in octets: the
	// time that the machine may be busy with something else. It gives what net.core.rmem_max
	// allows.
	receiveBuffer = 4 << 20
	// maxBatch is how many packets a worker takes from a UDP socket at once, if there are as
	// many, and maxTaken how many all of them together do, as each needs room for the largest.
	maxBatch = 16
	maxTaken = 128
	// logInterval is how often the log may say that packets were of no use.
	logInterval = 10 * time.Second
	// retryPause is how long nothing is read after an error that may pass.
	retryPause = 100 * time.Millisecond
)

// A Handler is called for each packet that carries SIP, by several goroutines at a time.
// The packet and all that it holds are valid until it returns. It should return soon once
// ctx is done.
type Handler func(ctx context.Context, p *Packet)

// A Server receives packets. [New] makes one.
//
// From UDP a worker that is free takes a few packets, on Linux, and handles one after the
// other; until then they wait in the kernel, and what does not fit there is dropped by the
// kernel, which counts it: [Stats.Dropped]; the sysctl net.core.rmem_max says how much may
// fit. So whatever arrives costs no more memory, and nothing is lost uncounted. Workers overtake each other: packets of one sender need not be handled in the
// order in which they came.
//
// Over TCP, where there is only version 3, the packets of a connection are handled in
// their order, one at a time; a sender that is too quick has to wait. Octets that are no
// packet end the connection; a packet that cannot be decoded does not.
type Server struct {
	params  Params
	sockets []Socket
	handle  Handler
	log     *slog.Logger
	running sync.WaitGroup // all goroutines
	stopped chan struct{}  // closed when Stop begins
	hangUp  context.CancelFunc

	mu        sync.Mutex // guards what follows
	stopping  bool
	udp       []*net.UDPConn
	listeners []*net.TCPListener
	conns     map[*net.TCPConn]struct{}
	addrs     []Socket
	dropped   uint64 // by the kernel, from sockets that are closed

	packets, octets, sip, other, malformed, refused atomic.Uint64
	malformedLog, refusedLog                        interval
}

// New returns a server that does not listen yet. The error names what cannot be so.
func New(params Params, sockets []Socket, handle Handler, log *slog.Logger) (*Server, error) {
	if err := params.check(); err != nil {
		return nil, err
	}
	for _, socket := range sockets {
		if socket.Transport != "udp" && socket.Transport != "tcp" {
			return nil, fmt.Errorf("proto_hep: socket %s: expected udp or tcp, got %q", socket, socket.Transport)
		}
	}
	return &Server{
		params: params, sockets: sockets, handle: handle, log: log,
		stopped: make(chan struct{}), conns: make(map[*net.TCPConn]struct{}),
	}, nil
}

// Start listens on all sockets and serves until [Server.Stop]. After an error it listens
// on none.
func (s *Server) Start() error {
	ctx, cancel := context.WithCancel(context.Background())
	s.hangUp = cancel
	for _, socket := range s.sockets {
		if err := s.listen(ctx, socket); err != nil {
			_ = s.Stop(ctx)
			return fmt.Errorf("listen on %s: %w", socket, err)
		}
	}
	return nil
}

func (s *Server) listen(ctx context.Context, socket Socket) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if socket.Transport == "tcp" {
		listener, err := net.ListenTCP(family("tcp", socket), net.TCPAddrFromAddrPort(socket.Addr))
		if err != nil {
			return err
		}
		s.listeners = append(s.listeners, listener)
		s.addrs = append(s.addrs, Socket{"tcp", listener.Addr().(*net.TCPAddr).AddrPort()})
		s.running.Go(func() { s.accept(ctx, listener) })
		return nil
	}
	conn, err := net.ListenUDP(family("udp", socket), net.UDPAddrFromAddrPort(socket.Addr))
	if err != nil {
		return err
	}
	s.udp = append(s.udp, conn)
	s.addrs = append(s.addrs, Socket{"udp", conn.LocalAddr().(*net.UDPAddr).AddrPort()})
	if err := conn.SetReadBuffer(receiveBuffer); err != nil {
		return fmt.Errorf("set its receive buffer: %w", err)
	}
	for range s.params.Workers {
		b, err := newBatch(conn, max(1, min(maxBatch, maxTaken/s.params.Workers)))
		if err != nil {
			return err
		}
		s.running.Go(func() { s.work(ctx, conn, b) })
	}
	return nil
}

// family names the network of a socket: 0.0.0.0 is all addresses of IPv4, and none of IPv6.
func family(transport string, socket Socket) string {
	if socket.Addr.Addr().Is4() {
		return transport + "4"
	}
	return transport + "6"
}

// Sockets returns where the server listens, after [Server.Start], in the order that [New]
// was given them.
func (s *Server) Sockets() []Socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Socket(nil), s.addrs...)
}

// Stop stops listening and waits for the handlers that run; when ctx is done, so is
// theirs. When it returns, nothing of the server runs. The error says that handlers were
// told to end.
func (s *Server) Stop(ctx context.Context) error {
	s.close()
	if s.hangUp == nil {
		return nil // it was never started
	}
	defer s.hangUp()
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		s.hangUp()
		<-ended
		return fmt.Errorf("stop receiving HEP: handlers were told to end: %w", ctx.Err())
	}
}

func (s *Server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return
	}
	s.stopping = true
	close(s.stopped)
	for _, conn := range s.udp {
		s.dropped += kernelDrops(conn)
		conn.Close()
	}
	s.udp = nil
	for _, listener := range s.listeners {
		listener.Close()
	}
	for conn := range s.conns {
		conn.Close()
	}
}

// Stats counts what has come in. Packets = SIP + Other + Malformed.
type Stats struct {
	Packets   uint64 // taken from a socket
	Bytes     uint64 // of these
	SIP       uint64 // that carried SIP: the handler was called
	Other     uint64 // that carried something else, or nothing
	Malformed uint64 // that could not be decoded
	Dropped   uint64 // UDP packets that the kernel had no room for; counted on Linux only

	Connections int    // over TCP, now
	Refused     uint64 // connections that were one too many
}

// Stats returns what has come in since [New].
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	dropped := s.dropped
	for _, conn := range s.udp {
		dropped += kernelDrops(conn)
	}
	return Stats{
		Packets: s.packets.Load(), Bytes: s.octets.Load(), SIP: s.sip.Load(), Other: s.other.Load(),
		Malformed: s.malformed.Load(), Dropped: dropped, Connections: len(s.conns), Refused: s.refused.Load(),
	}
}

// work handles packets of a UDP socket one at a time.
func (s *Server) work(ctx context.Context, conn *net.UDPConn, b *batch) {
	var w worker
	for {
		n, err := b.read()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			s.log.Error("receive HEP", "socket", conn.LocalAddr(), "err", err)
			if !s.pause() {
				return
			}
		}
		for i := range n {
			data, from := b.packet(i)
			s.packet(ctx, &w, data, from)
		}
	}
}

// A worker is what one goroutine needs again and again.
type worker struct {
	decoder decoder
	packet  Packet
}

// packet decodes a packet and has it handled.
func (s *Server) packet(ctx context.Context, w *worker, data []byte, from netip.AddrPort) {
	s.packets.Add(1)
	s.octets.Add(uint64(len(data)))
	var err error
	w.packet, err = w.decoder.decode(data)
	switch {
	case err != nil:
		s.spoiled(err, from)
	case w.packet.Type != SIP:
		s.other.Add(1)
	default:
		s.sip.Add(1)
		s.handle(ctx, &w.packet)
	}
}

// spoiled counts a packet that could not be decoded.
func (s *Server) spoiled(err error, from netip.AddrPort) {
	n := s.malformed.Add(1)
	if s.malformedLog.passed() {
		s.log.Warn("HEP packet ignored", "from", from, "err", err, "so_far", n)
	}
}

// pause waits a little. It reports whether the server still runs.
func (s *Server) pause() bool {
	timer := time.NewTimer(retryPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.stopped:
		return false
	}
}

// An interval lets somebody do something once in logInterval.
type interval struct{ next atomic.Int64 }

func (i *interval) passed() bool {
	now, next := time.Now().UnixNano(), i.next.Load()
	return now >= next && i.next.CompareAndSwap(next, now+int64(logInterval))
}
