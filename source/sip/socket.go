package sip

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// The protocols that messages come over, as scripts name them.
const (
	UDP = "udp"
	TCP = "tcp"
	TLS = "tls"
)

// The ports that sockets without one have.
const (
	defaultPort    = 5060
	defaultTLSPort = 5061
)

// A Socket is where a [Server] listens.
type Socket struct {
	Proto string         // UDP, TCP or TLS
	Addr  netip.AddrPort // port 0: any that is free
}

// ParseSocket takes a socket as the global socket has it in a script: udp:192.0.2.1:5060,
// tcp:[2001:db8::1]:5060 or tls:192.0.2.1. Without a port it is 5060, for tls 5061. The
// error says what was expected.
func ParseSocket(text string) (Socket, error) {
	proto, rest, found := strings.Cut(strings.TrimSpace(text), ":")
	s := Socket{Proto: strings.ToLower(proto)}
	if !found || s.Proto != UDP && s.Proto != TCP && s.Proto != TLS {
		return Socket{}, fmt.Errorf("parse socket %q: expected udp:IP:PORT, tcp:IP:PORT or tls:IP:PORT", text)
	}
	var host, port string
	var hasPort bool
	if inside, bracketed := strings.CutPrefix(rest, "["); bracketed {
		after, closed := "", false
		if host, after, closed = strings.Cut(inside, "]"); !closed {
			return Socket{}, fmt.Errorf("parse socket %q: expected a ] after the IPv6 address", text)
		}
		if port, hasPort = strings.CutPrefix(after, ":"); !hasPort && after != "" {
			return Socket{}, fmt.Errorf("parse socket %q: expected :PORT after the address, got %q", text, after)
		}
	} else {
		host, port, hasPort = strings.Cut(rest, ":")
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Is6() && !strings.HasPrefix(rest, "[") {
		return Socket{}, fmt.Errorf("parse socket %q: expected an IP address, an IPv6 one in brackets, got %q", text, host)
	}
	n := uint64(defaultPort)
	if s.Proto == TLS {
		n = defaultTLSPort
	}
	if hasPort {
		if n, err = strconv.ParseUint(port, 10, 16); err != nil {
			return Socket{}, fmt.Errorf("parse socket %q: expected a port from 0 to 65535, got %q", text, port)
		}
	}
	s.Addr = netip.AddrPortFrom(addr.Unmap(), uint16(n))
	return s, nil
}

// String is the socket as ParseSocket takes it.
func (s Socket) String() string { return s.Proto + ":" + s.Addr.String() }
