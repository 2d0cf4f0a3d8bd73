package tcp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Dialer makes connections. [NewDialer] makes one.
type Dialer struct {
	places int32        // for calls that wait in the kernel: one processor is left for others
	taken  atomic.Int32 // of these
}

// NewDialer returns a Dialer.
func NewDialer() *Dialer { return &Dialer{places: int32(runtime.GOMAXPROCS(0)) - 1} }

// takePlace reports whether a call may wait in the kernel. It then has to leave its
// place.
func (d *Dialer) takePlace() bool {
	if d.taken.Load() >= d.places {
		return false
	}
	if d.taken.Add(1) > d.places {
		d.leavePlace()
		return false
	}
	return true
}

func (d *Dialer) leavePlace() { d.taken.Add(-1) }

// Dial connects to an address, until ctx is done or its deadline has passed.
func (d *Dialer) Dial(ctx context.Context, addr netip.AddrPort, hint Hint) (*Conn, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	to, family, err := sockaddr(addr)
	if err != nil {
		return nil, err
	}
	c := &Conn{Hint: hint, dialer: d}
	c.end, _ = ctx.Deadline()
	c.enterKernel()
	defer c.leaveKernel()
	kind := unix.SOCK_STREAM | unix.SOCK_CLOEXEC
	if !c.inKernel {
		kind |= unix.SOCK_NONBLOCK
	}
	if c.fd, err = unix.Socket(family, kind, 0); err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	err = c.connect(ctx, to)
	if err == nil && c.isItself(addr) {
		err = os.NewSyscallError("connect", unix.ECONNREFUSED)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) connect(ctx context.Context, to unix.Sockaddr) error {
	if c.inKernel {
		if err := c.block(); err != nil {
			return err
		}
	}
	connect := func(fd uintptr) error { return os.NewSyscallError("connect", unix.Connect(int(fd), to)) }
	err := connect(uintptr(c.fd))
	if !isConnecting(err) {
		return err
	}
	if err := c.park(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	errWait := c.raw.Write(func(fd uintptr) (done bool) {
		err = connect(fd)
		return !isConnecting(err)
	})
	switch {
	case !stop():
		return ctx.Err()
	case errWait != nil:
		return c.plain(errWait)
	default:
		return err
	}
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
	return isErrno(err, unix.EINPROGRESS) || isErrno(err, unix.EALREADY) || isErrno(err, unix.EINTR)
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
