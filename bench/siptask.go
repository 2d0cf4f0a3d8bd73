package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	sipPorts  = 32 // that requests come from
	sipWindow = 4  // requests of each port that wait for their replies

	// hepBurst is how many packets are sent at once, and hepWaiting with how many octets
	// waiting at the receiver, as the kernel counts: so little that nothing is lost where a
	// socket has as much room as Linux gives by default.
	hepBurst   = 64
	hepWaiting = 256 << 10
	// hepSources is how many addresses packets are captured from.
	hepSources = 10_000

	// bareBuffer is how many octets may wait for a bare program, as for evid.
	bareBuffer = 4 << 20

	// replyPatience is how long a reply or a reader may take.
	replyPatience = 10 * time.Second
)

// target is where the first group of the task listens.
func (t task) target() (netip.AddrPort, error) {
	addr, err := netip.ParseAddr(t.Groups[0].Host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("read task: %w", err)
	}
	return netip.AddrPortFrom(addr, uint16(t.Groups[0].Port)), nil
}

// measurePeer lets send run, to warm up and then for the time of the task, and fills in
// what each message took the process that receives. Send returns how many were taken.
func (t task) measurePeer(r *result, send func(time.Duration) (int64, error)) error {
	warm, err := send(warmUp)
	if err != nil {
		return err
	}
	cpu, err := cpuTimeOf(t.Peer)
	if err != nil {
		return err
	}
	began := time.Now()
	n, err := send(t.For)
	if err != nil {
		return err
	}
	took := time.Since(began)
	used, err := cpuTimeOf(t.Peer)
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("measure for %v: nothing was taken", took)
	}
	r.Rate = float64(n) / took.Seconds()
	r.CPU = float64((used - cpu).Nanoseconds()) / 1e3 / float64(n)
	r.Delivered = uint64(warm + n)
	return nil
}

// A sipClient sends requests from a port of its own.
type sipClient struct {
	conn    net.Conn
	request *numbered
	next    *atomic.Uint64 // number, of all clients
	reply   []byte
}

// sipRequests sends requests from many ports, as fast as they are answered.
func sipRequests(t task) (result, error) {
	var r result
	addr, err := t.target()
	if err != nil {
		return r, err
	}
	var next atomic.Uint64
	var clients [sipPorts]*sipClient
	for i := range clients {
		conn, err := net.Dial("udp", addr.String())
		if err != nil {
			return r, err
		}
		defer conn.Close()
		clients[i] = &sipClient{conn: conn, request: newRequest(), next: &next, reply: make([]byte, 2048)}
	}
	return r, t.measurePeer(&r, func(period time.Duration) (int64, error) {
		var answered atomic.Int64
		var group errgroup.Group
		end := time.Now().Add(period)
		for _, c := range clients {
			group.Go(func() error {
				n, err := c.run(end)
				answered.Add(n)
				return err
			})
		}
		err := group.Wait()
		return answered.Load(), err
	})
}

// run sends until then, and waits for all replies. It returns how many there were.
func (c *sipClient) run(end time.Time) (answered int64, err error) {
	if err := c.conn.SetReadDeadline(end.Add(replyPatience)); err != nil {
		return 0, err
	}
	for time.Now().Before(end) {
		for range sipWindow {
			c.request.set(c.next.Add(1))
			if _, err := c.conn.Write(c.request.data); err != nil {
				return answered, err
			}
		}
		for range sipWindow {
			n, err := c.conn.Read(c.reply)
			if err != nil {
				return answered, fmt.Errorf("wait for reply: %w", err)
			}
			if string(c.reply[:min(n, 11)]) != "SIP/2.0 200" && string(c.reply[:min(n, 8)]) != "OPTIONS " {
				return answered, fmt.Errorf("read reply: expected 200 or what was sent, got %q", c.reply[:n])
			}
			answered++
		}
	}
	return answered, nil
}

// A hepSender sends packets.
type hepSender struct {
	conn   *net.UDPConn
	burst  *burst
	addr   netip.AddrPort
	sent   uint64
	source func(n uint64) uint32 // of each, by its number
}

func newHEPSender(addr netip.AddrPort, source func(uint64) uint32) (*hepSender, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	b, err := newBurst(conn, hepBurst)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &hepSender{conn: conn, burst: b, addr: addr, source: source}, nil
}

// fewSources spreads addresses over all that there are.
func fewSources(n uint64) uint32 { return uint32(n%hepSources) * (math.MaxUint32 / hepSources) }

// randomSources are addresses as somebody forges them.
func randomSources(uint64) uint32 { return rand.Uint32() }

// hepPackets sends packets from such sources: so many in a second as the task says, whether
// or not all are taken; or else as fast as they are taken.
func hepPackets(t task, source func(n uint64) uint32) (result, error) {
	var r result
	addr, err := t.target()
	if err != nil {
		return r, err
	}
	s, err := newHEPSender(addr, source)
	if err != nil {
		return r, err
	}
	defer s.conn.Close()
	before, err := s.state()
	if err != nil {
		return r, err
	}
	send := s.pressed
	if t.Rate > 0 {
		send = func(period time.Duration) (int64, error) { return s.steady(period, t.Rate) }
	}
	if err := t.measurePeer(&r, send); err != nil {
		return r, err
	}
	after, err := s.state()
	r.Dropped = after.dropped - before.dropped
	return r, err
}

func (s *hepSender) send(packets int) error {
	for packets > 0 {
		n := min(packets, hepBurst)
		for _, p := range s.burst.packets[:n] {
			s.sent++
			p.set(s.sent)
			p.from(s.source(s.sent))
		}
		if err := s.burst.send(n); err != nil {
			return err
		}
		packets -= n
	}
	return nil
}

// state looks several times for the socket: the kernel's list, which is read in parts, may
// leave one out while others come and go.
func (s *hepSender) state() (udpState, error) {
	for range 10 {
		if state, found, err := udpSocket(s.addr); found || err != nil {
			return state, err
		}
	}
	return udpState{}, fmt.Errorf("find UDP socket %s: nobody listens", s.addr)
}

// pressed sends as fast as packets are taken, without that any can be lost.
func (s *hepSender) pressed(period time.Duration) (sent int64, err error) {
	for end := time.Now().Add(period); time.Now().Before(end); {
		if err := s.wait(hepWaiting); err != nil {
			return sent, err
		}
		if err := s.send(hepBurst); err != nil {
			return sent, err
		}
		sent += hepBurst
	}
	return sent, s.wait(0)
}

// steady sends so many in a second.
func (s *hepSender) steady(period time.Duration, rate float64) (sent int64, err error) {
	for began := time.Now(); time.Since(began) < period; time.Sleep(time.Millisecond) {
		due := int64(rate * time.Since(began).Seconds())
		if err := s.send(int(due - sent)); err != nil {
			return sent, err
		}
		sent = due
	}
	return sent, s.wait(0)
}

// wait waits until at most so many octets wait at the receiver.
func (s *hepSender) wait(waiting int) error {
	for began := time.Now(); ; time.Sleep(20 * time.Microsecond) {
		state, err := s.state()
		if err != nil || state.waiting <= waiting {
			return err
		}
		if time.Since(began) > replyPatience {
			return fmt.Errorf("wait for who reads UDP socket %s: %d octets still wait", s.addr, state.waiting)
		}
	}
}

// bareUDP is what Go itself makes of datagrams: it reads them until it is told to end, and
// with echo sends each back, one goroutine per processor.
func bareUDP(t task, echo bool) (result, error) {
	var r result
	addr, err := t.target()
	if err != nil {
		return r, err
	}
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return r, err
	}
	if err := conn.SetReadBuffer(bareBuffer); err != nil {
		return r, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { conn.Close() })
	var taken atomic.Uint64
	var group errgroup.Group
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			buf := make([]byte, 64<<10)
			for {
				n, from, err := conn.ReadFromUDPAddrPort(buf)
				if err == nil && echo {
					_, err = conn.WriteToUDPAddrPort(buf[:n], from)
				}
				if errors.Is(err, net.ErrClosed) {
					return nil
				}
				if err != nil {
					return err
				}
				taken.Add(1)
			}
		})
	}
	err = group.Wait()
	r.Delivered = taken.Load()
	return r, err
}
