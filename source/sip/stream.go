package sip

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"time"
)

const (
	smallBuffer = 4 << 10               // bytes that a connection keeps while it is idle
	acceptPause = 50 * time.Millisecond // after an error of accepting, such as no file descriptor left
)

// A stream is a connection over TCP or TLS. One goroutine reads it, handles its messages
// one after the other, and replies.
type stream struct {
	server *Server
	plain  *net.TCPConn
	conn   net.Conn // the same, or TLS over it
	proto  string
	peer   netip.AddrPort

	buf      []byte // from the first byte on that has not been handled
	have     int    // bytes of buf that are there
	lineEnds int    // bytes of headersEnd that have come since the last message
}

// accept serves the connections of a listener.
func (s *Server) accept(l listener) {
	for {
		conn, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.opts.Log.Warn("accept SIP connection", "addr", l.Addr(), "err", err)
			select {
			case <-time.After(acceptPause):
			case <-s.ctx.Done():
			}
			continue
		}
		c := &stream{server: s, plain: conn, conn: conn, proto: l.proto, peer: addrPort(conn.RemoteAddr())}
		if l.proto == TLS {
			c.conn = tls.Server(conn, s.tls)
		}
		if s.add(c) {
			s.running.Go(c.serve)
		} else {
			conn.Close()
		}
	}
}

// add notes that a connection is open, unless there are too many.
func (s *Server) add(c *stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	if len(s.streams) >= s.opts.Params.MaxConnections {
		s.counts.refused.Add(1)
		return false
	}
	s.streams[c] = false
	return true
}

// setBusy notes whether a request of the connection is being handled, and reports whether
// the connection may go on.
func (s *Server) setBusy(c *stream, busy bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams[c] = busy && !s.stopping
	return !s.stopping
}

// remove notes that a connection is closed, and reports whether that is worth telling.
func (s *Server) remove(c *stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, c)
	return !s.stopping
}

// serve reads the connection to its end.
func (c *stream) serve() {
	s := c.server
	err := c.handshake()
	for err == nil {
		err = c.next()
	}
	if errors.Is(err, errSlow) {
		s.counts.timedOut.Add(1)
	}
	s.opts.Log.Debug("SIP connection ends", "peer", c.peer, "proto", c.proto, "err", err)
	c.plain.Close() // the farewell of TLS could wait for the peer
	if s.remove(c) && s.opts.Disconnected != nil {
		s.opts.Disconnected(Disconnect{c.proto, c.peer, addrPort(c.plain.LocalAddr())})
	}
}

var (
	errSlow    = errors.New("the peer took too long")
	errStopped = errors.New("the server stops")
)

// handshake makes the TLS handshake now: it would otherwise be part of reading, and have
// the time that a connection may be idle.
func (c *stream) handshake() error {
	conn, ok := c.conn.(*tls.Conn)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.server.ctx, c.server.opts.Params.MessageTimeout)
	defer cancel()
	err := conn.HandshakeContext(ctx)
	if ctx.Err() != nil {
		return errSlow
	}
	return err
}

// next reads and handles one message, or a byte before it.
func (c *stream) next() error {
	s := c.server
	if c.have == 0 {
		c.shrink()
		if err := c.read(time.Now().Add(s.opts.Params.IdleTimeout)); err != nil {
			return err
		}
	}
	end := time.Now().Add(s.opts.Params.MessageTimeout)
	if c.buf[0] == '\r' || c.buf[0] == '\n' {
		return c.lineEnd()
	}
	c.lineEnds = 0
	size, scanned := 0, 0
	for {
		var err error
		if size, err = frame(c.buf[:c.have], scanned); err != nil {
			return c.giveUp(size, err)
		}
		if size > 0 && c.have >= size {
			break
		}
		if size == 0 {
			scanned = c.have
		}
		if err := c.read(end); err != nil {
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded):
				err = errSlow
			case errors.Is(err, io.EOF): // the peer has cut it off
				s.counts.malformed.Add(1)
			}
			return err
		}
	}
	if !s.setBusy(c, true) {
		return errStopped
	}
	s.message(c.buf[:size], c.peer, c.proto, c)
	if !s.setBusy(c, false) {
		return errStopped
	}
	c.drop(size)
	return nil
}

// lineEnd takes a byte before a message. Two line ends are a ping, which gets one as pong;
// they need not come together.
func (c *stream) lineEnd() error {
	next := c.buf[0]
	c.drop(1)
	switch {
	case next != headersEnd[c.lineEnds]:
		c.lineEnds = 0
		return nil
	case c.lineEnds+1 < len(headersEnd):
		c.lineEnds++
		return nil
	}
	c.lineEnds = 0
	c.server.counts.pings.Add(1)
	return c.send([]byte("\r\n"), c.peer)
}

// giveUp answers a message whose end is unknown, if its headers are there.
func (c *stream) giveUp(size int, err error) error {
	s := c.server
	if size == 0 || isReply(c.buf[:c.have]) {
		s.counts.malformed.Add(1)
		return err
	}
	r := &Request{source: c.peer, proto: c.proto, server: s, out: c}
	_ = r.parse(s.lines, c.buf[:size])
	s.counts.malformed.Add(1)
	s.refuse(r, err)
	return err
}

// read reads some bytes, by a time.
func (c *stream) read(end time.Time) error {
	if c.have == len(c.buf) {
		grown := make([]byte, max(smallBuffer, min(2*len(c.buf), maxMessage)))
		copy(grown, c.buf)
		c.buf = grown
	}
	if err := c.conn.SetReadDeadline(end); err != nil {
		return err
	}
	n, err := c.conn.Read(c.buf[c.have:])
	c.server.counts.bytes.Add(uint64(n))
	c.have += n
	if n > 0 {
		return nil
	}
	return err
}

// drop removes what was handled.
func (c *stream) drop(n int) {
	c.have = copy(c.buf, c.buf[n:c.have])
}

// shrink releases a large buffer in which nothing is.
func (c *stream) shrink() {
	if len(c.buf) > smallBuffer {
		c.buf = nil
	}
}

// send implements sender. A peer that does not take its replies loses its connection.
func (c *stream) send(data []byte, _ netip.AddrPort) error {
	err := c.conn.SetWriteDeadline(time.Now().Add(c.server.opts.Params.SendTimeout))
	if err == nil {
		_, err = c.conn.Write(data)
	}
	if err != nil {
		c.plain.Close()
	}
	return err
}
