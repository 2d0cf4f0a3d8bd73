package hep

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"
)

// accept takes connections until the listener is closed.
func (s *Server) accept(ctx context.Context, listener *net.TCPListener) {
	for {
		conn, err := listener.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of file descriptors, for one: that may pass
			s.log.Error("accept HEP connection", "socket", listener.Addr(), "err", err)
			if !s.pause() {
				return
			}
		case s.enter(conn):
			s.running.Go(func() {
				s.converse(ctx, conn)
				s.leave(conn)
			})
		default:
			conn.Close()
		}
	}
}

// enter reports whether there is room for the connection.
func (s *Server) enter(conn *net.TCPConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopping:
		return false
	case len(s.conns) >= s.params.MaxConnections:
		n := s.refused.Add(1)
		if s.refusedLog.passed() {
			s.log.Warn("HEP connection refused: set max_connections of module proto_hep",
				"from", conn.RemoteAddr(), "max_connections", s.params.MaxConnections, "so_far", n)
		}
		return false
	default:
		s.conns[conn] = struct{}{}
		return true
	}
}

func (s *Server) leave(conn *net.TCPConn) {
	conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// converse handles the packets of a connection until it ends.
func (s *Server) converse(ctx context.Context, conn *net.TCPConn) {
	from, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	stream := newStream(conn, s.params)
	var w worker
	for {
		packet, err := stream.next()
		switch {
		case err == nil:
			s.packet(ctx, &w, packet, from)
		case errors.Is(err, errFraming):
			s.packets.Add(1)
			s.spoiled(fmt.Errorf("%w: the connection is closed", err), from)
			return
		default:
			s.log.Debug("HEP connection ended", "from", from, "reason", err)
			return
		}
	}
}

// A stream takes packets from a connection: each starts with "HEP3" or "EEP3" and its
// length.
type stream struct {
	conn net.Conn
	in   *bufio.Reader // of MaxPacket: it can hold any packet as a whole
	size int           // of the packet that was returned last: its octets are still in there
	idle time.Duration

	reads, maxReads int // since the last whole packet
}

func newStream(conn net.Conn, params Params) *stream {
	s := &stream{conn: conn, idle: params.IdleTimeout, maxReads: params.MaxReads}
	s.in = bufio.NewReaderSize(reader{s}, MaxPacket)
	return s
}

var errFraming = errors.New("receive HEP packet")

// next returns the next packet, which is valid until the next call. The error is an
// errFraming if what came is no packet of version 3, or comes in too many pieces.
func (s *stream) next() ([]byte, error) {
	if _, err := s.in.Discard(s.size); err != nil {
		return nil, err
	}
	s.size, s.reads = 0, 0
	if err := s.conn.SetReadDeadline(time.Now().Add(s.idle)); err != nil {
		return nil, err
	}
	header, err := s.in.Peek(headerSize)
	if err != nil {
		return nil, s.ended(err, headerSize)
	}
	total := int(binary.BigEndian.Uint16(header[4:]))
	if !isVersion3(header) || total < headerSize {
		return nil, fmt.Errorf(`%w: expected "HEP3" or "EEP3" and a length of at least %d, got %q`, errFraming, headerSize, header)
	}
	packet, err := s.in.Peek(total)
	if err != nil {
		return nil, s.ended(err, total)
	}
	s.size = total
	return packet, nil
}

// ended says why a packet did not come. A connection may end before one, and be silent.
func (s *stream) ended(err error, want int) error {
	got := s.in.Buffered()
	switch {
	case got == 0, errors.Is(err, net.ErrClosed), errors.Is(err, errFraming):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: expected %d octets, got %d: %w", errFraming, want, got, err)
	default:
		return err
	}
}

// A reader reads from the connection of a stream, and counts.
type reader struct{ s *stream }

func (r reader) Read(buf []byte) (int, error) {
	if r.s.reads == r.s.maxReads {
		return 0, fmt.Errorf("%w: expected it in at most %d pieces (hep_max_msg_chunks), got more", errFraming, r.s.maxReads)
	}
	r.s.reads++
	return r.s.conn.Read(buf)
}
