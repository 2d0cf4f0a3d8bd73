package tcp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A Dialer makes connections. [NewDialer] makes one.
type Dialer struct {
	places int32         // how many calls are alone: one processor is left for others
	brief  time.Duration // how long one waits in the kernel, about
	quick  atomic.Int32  // calls of quick servers that are under way
	loops  []loop
	next   atomic.Uint32 // the loop whose turn it is
	lowest uint16        // the kernel connects from ports from this one on
}

// NewDialer returns a Dialer.
func NewDialer() *Dialer { return newDialer(runtime.GOMAXPROCS(0) - 1) }

func newDialer(places int) *Dialer {
	return &Dialer{places: int32(places), brief: briefTime, loops: make([]loop, max(1, places)), lowest: lowestPort()}
}

// lowestPort is the first of those that the kernel connects from; 0: it does not say.
func lowestPort() (port uint16) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		_, _ = fmt.Sscan(string(text), &port)
	}
	return port
}

// loop returns the one for one more connection.
func (d *Dialer) loop() *loop { return &d.loops[int(d.next.Add(1))%len(d.loops)] }

// Dial connects to an address, until ctx is done or its deadline has passed. The task, which can be nil, is the connection's.
func (d *Dialer) Dial(ctx context.Context, addr netip.AddrPort, hint Hint, task Task) (*Conn, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	to, family, err := sockaddr(addr)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	c := &Conn{Hint: hint, Task: task, dialer: d, fd: fd, inUse: true}
	defer c.finish()
	var ends bool
	if c.end, ends = ctx.Deadline(); !ends {
		c.end = time.Now().Add(math.MaxInt64)
	}
	err = c.connect(ctx, to)
	if err == nil && addr.Port() >= d.lowest && c.isItself(addr) {
		err = os.NewSyscallError("connect", unix.ECONNREFUSED)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// connect tries twice at first: with a server on the same machine that is enough.
func (c *Conn) connect(ctx context.Context, to unix.Sockaddr) error {
	if err := c.tryConnect(to); !isConnecting(err) {
		return err
	}
	if err := c.tryConnect(to); !isConnecting(err) {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	for {
		if err := c.await(unix.EPOLLIN | unix.EPOLLOUT); err != nil {
			return err
		}
		if c.isClosed() {
			return cmp.Or(ctx.Err(), net.ErrClosed)
		}
		if err := c.tryConnect(to); !isConnecting(err) {
			return err
		}
	}
}

func (c *Conn) tryConnect(to unix.Sockaddr) error {
	return os.NewSyscallError("connect", unix.Connect(c.fd, to))
}

// isItself reports whether the connection has itself at its other end: to a port where
// nobody listens the kernel can connect from that very port.
func (c *Conn) isItself(addr netip.AddrPort) bool {
	from, err := unix.Getsockname(c.fd)
	if err != nil {
		return false
	}
	switch from := from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(from.Addr), uint16(from.Port)) == addr
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(from.Addr), uint16(from.Port)) == netip.AddrPortFrom(addr.Addr().WithZone(""), addr.Port())
	default:
		return false
	}
}

func isConnecting(err error) bool {
	return errors.Is(err, unix.EINPROGRESS) || errors.Is(err, unix.EALREADY) || errors.Is(err, unix.EINTR)
}

func sockaddr(addr netip.AddrPort) (to unix.Sockaddr, family int, err error) {
	ip := addr.Addr()
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: ip.As4()}, unix.AF_INET, nil
	}
	zone, err := zoneID(ip.Zone())
	return &unix.SockaddrInet6{Port: int(addr.Port()), Addr: ip.As16(), ZoneId: zone}, unix.AF_INET6, err
}

// zoneID returns the number of an interface, which may be its name; 0: none.
func zoneID(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, fmt.Errorf("find interface %q: %w", zone, err)
	}
	return uint32(i.Index), nil
}
