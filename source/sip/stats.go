package sip

import "sync/atomic"

// Stats count what a [Server] has done since it was made. All but Connections only grow.
type Stats struct {
	Requests   uint64 // handed to the handler
	ACKs       uint64 // for replies of the server: not handed to it
	Replies    uint64 // received; they are not looked at
	Replied    uint64 // replies sent, those to malformed requests among them
	Pings      uint64 // keep-alive pings
	Malformed  uint64 // messages that are none of SIP, or end too early
	Dropped    uint64 // datagrams that came while as many requests as may were being handled
	Overflowed uint64 // datagrams that the kernel dropped as too many waited to be read; known on Linux, until Stop
	Bytes      uint64 // received

	Connections uint64 // open at present, over TCP and TLS
	Refused     uint64 // connections beyond the limit
	TimedOut    uint64 // connections closed as a message or a TLS handshake took too long
}

type counts struct {
	requests, acks, replies, replied, pings, malformed, dropped, bytes, refused, timedOut atomic.Uint64
}

// Stats returns the present numbers.
func (s *Server) Stats() Stats {
	c := &s.counts
	s.mu.Lock()
	connections := uint64(len(s.streams))
	s.mu.Unlock()
	overflow := uint64(0)
	for _, u := range s.datagrams {
		overflow += overflowed(u.conn)
	}
	return Stats{
		Requests: c.requests.Load(), ACKs: c.acks.Load(), Replies: c.replies.Load(), Replied: c.replied.Load(),
		Pings: c.pings.Load(), Malformed: c.malformed.Load(), Dropped: c.dropped.Load(), Overflowed: overflow, Bytes: c.bytes.Load(),
		Connections: connections, Refused: c.refused.Load(), TimedOut: c.timedOut.Load(),
	}
}
