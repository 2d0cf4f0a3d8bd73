package sip

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"
)

const (
	// patience is how long all readers of a socket may be busy with one request each until
	// there are more readers.
	patience = 10 * time.Millisecond
	// readBuffer is how many bytes may wait in the kernel, if that allows it.
	readBuffer = 8 << 20
)

// A udpSocket has a few goroutines, its readers, which read and handle one datagram after
// the other. As long as requests take little time, nothing else is quicker. If all of them
// are held up, more are started, up to the limit, and end when they are not needed any
// more. One beyond the limit reads what is then dropped.
type udpSocket struct {
	server *Server
	conn   *net.UDPConn

	mu      sync.Mutex
	readers int
	busy    int         // of these, those that handle a request
	begun   uint64      // requests, ever
	watch   *time.Timer // calls relieve; it runs only while all readers are busy
	watched bool
	seen    uint64 // begun when watch was started
	stopped bool
}

func (s *Server) listenUDP(socket Socket) (*udpSocket, error) {
	network := "udp4"
	if socket.Addr.Addr().Is6() {
		network = "udp6"
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(socket.Addr))
	if err != nil {
		return nil, err
	}
	setReadBuffer(conn, readBuffer)
	return &udpSocket{server: s, conn: conn}, nil
}

// fewReaders is how many readers there are at least.
func (u *udpSocket) fewReaders() int {
	return min(runtime.GOMAXPROCS(0), u.server.opts.Params.MaxHandlers)
}

func (u *udpSocket) start() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.watch = time.AfterFunc(time.Hour, u.relieve)
	u.watch.Stop()
	u.moreReadersLocked(u.fewReaders())
}

func (u *udpSocket) moreReadersLocked(n int) {
	for range n {
		u.readers++
		u.server.running.Go(u.read)
	}
}

// stop lets the readers end when they would read.
func (u *udpSocket) stop() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopped = true
	if u.watch != nil {
		u.watch.Stop()
	}
	_ = u.conn.SetReadDeadline(time.Unix(1, 0))
}

func (u *udpSocket) read() {
	s := u.server
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	for {
		n, from, err := u.conn.ReadFromUDPAddrPort(*buf)
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.opts.Log.Debug("read SIP over UDP", "err", err)
			continue
		}
		s.counts.bytes.Add(uint64(n))
		data := (*buf)[:n]
		if isPing(data) {
			s.counts.pings.Add(1)
			continue
		}
		if !u.begin() {
			s.counts.dropped.Add(1)
			continue
		}
		s.message(data, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), UDP, u)
		if !u.end() {
			return
		}
	}
}

// isPing reports whether a datagram is what keeps a mapping of a NAT alive: empty, or line
// ends and zeros.
func isPing(data []byte) bool { return len(bytes.Trim(data, "\r\n\x00")) == 0 }

// begin notes that a reader is busy. It is not to be if as many as may are.
func (u *udpSocket) begin() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.busy == u.server.opts.Params.MaxHandlers {
		return false
	}
	u.busy++
	u.begun++
	if u.busy == u.readers && !u.watched {
		u.watchLocked()
	}
	return true
}

func (u *udpSocket) watchLocked() {
	u.watched, u.seen = true, u.begun
	u.watch.Reset(patience)
}

// end notes that a reader is not busy any more. It is to end if enough others are not.
func (u *udpSocket) end() (stay bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.busy--
	if u.readers-u.busy > u.fewReaders() {
		u.readers--
		return false
	}
	return true
}

// relieve starts more readers if all have been busy with one request each.
func (u *udpSocket) relieve() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.watched = false
	switch {
	case u.stopped || u.busy < u.readers:
	case u.begun != u.seen:
		u.watchLocked()
	default:
		u.moreReadersLocked(min(u.readers, u.server.opts.Params.MaxHandlers+1-u.readers))
	}
}

// send implements sender.
func (u *udpSocket) send(data []byte, to netip.AddrPort) error {
	_, err := u.conn.WriteToUDPAddrPort(data, to)
	return err
}
