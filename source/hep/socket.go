package hep

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/evid/evid/modparam"
)

// A Socket is where a [Server] listens.
type Socket struct {
	Transport string         // "udp" or "tcp"
	Addr      netip.AddrPort // port 0: any that is free
}

// String gives the socket as [ParseSocket] reads it.
func (s Socket) String() string { return "hep_" + s.Transport + ":" + s.Addr.String() }

// ParseSocket reads a socket as OpenSIPS' socket= has it: hep_udp:127.0.0.1:9060,
// hep_tcp:[::1]:9060, or without a port, which is then defaultPort.
func ParseSocket(text string, defaultPort uint16) (Socket, error) {
	s, err := parseSocket(text, defaultPort)
	if err != nil {
		return Socket{}, fmt.Errorf("parse socket %q: %w", text, err)
	}
	return s, nil
}

var errScheme = errors.New("expected hep_udp:IP:PORT or hep_tcp:IP:PORT")

func parseSocket(text string, defaultPort uint16) (s Socket, err error) {
	scheme, host, found := strings.Cut(text, ":")
	switch strings.ToLower(scheme) {
	case "hep_udp":
		s.Transport = "udp"
	case "hep_tcp":
		s.Transport = "tcp"
	default:
		return s, errScheme
	}
	if !found || host == "" {
		return s, errScheme
	}
	if s.Addr, err = netip.ParseAddrPort(host); err == nil {
		return s, nil
	}
	bare := host
	if inner, isBracketed := strings.CutPrefix(host, "["); isBracketed {
		bare = strings.TrimSuffix(inner, "]")
	}
	addr, errAddr := netip.ParseAddr(bare)
	if errAddr != nil {
		return s, fmt.Errorf("%w: %w", errScheme, err)
	}
	s.Addr = netip.AddrPortFrom(addr, defaultPort)
	return s, nil
}

// Params configure a [Server]. [DefaultParams] returns the defaults.
type Params struct {
	Port           int           // of sockets that name none
	MaxReads       int           // in how many pieces a packet may arrive over TCP
	Workers        int           // packets that are handled at a time, for each UDP socket
	MaxConnections int           // over TCP, for all sockets together
	IdleTimeout    time.Duration // for the next whole packet of a TCP connection
}

// DefaultParams returns what holds for parameters that are not set. Port and MaxReads are
// those of the manual of proto_hep, and Workers is OpenSIPS' udp_workers.
func DefaultParams() Params {
	return Params{Port: 5656, MaxReads: 32, Workers: 8, MaxConnections: 256, IdleTimeout: 10 * time.Minute}
}

// ProtoHEP returns the parameters of module proto_hep that are about receiving.
func (p *Params) ProtoHEP() []modparam.Param {
	return []modparam.Param{
		{
			Name: "hep_port", Value: modparam.Int(&p.Port, 1, 65535),
			Usage: "port of hep_udp and hep_tcp sockets that name none",
		},
		{
			Name: "hep_max_msg_chunks", Value: modparam.Int(&p.MaxReads, 1, MaxPacket),
			Usage: "in how many pieces a packet may arrive over TCP; with more, its connection is closed",
		},
		{
			Name: "workers", Value: modparam.Int(&p.Workers, 1, 1024),
			Usage: "packets that are handled at a time, for each UDP socket",
		},
		{
			Name: "max_connections", Value: modparam.Int(&p.MaxConnections, 1, 65536),
			Usage: "TCP connections at a time; more are closed",
		},
		{
			Name: "idle_timeout", Value: modparam.Duration(&p.IdleTimeout, time.Second, 24*time.Hour),
			Usage: "how long a TCP connection may take for its next packet",
		},
	}
}

// check finds what modparam would not have assigned.
func (p Params) check() error {
	for _, param := range p.ProtoHEP() {
		if err := param.Value.Set(param.Value.String()); err != nil {
			return errors.New("proto_hep " + param.Name + ": " + strconv.Quote(param.Value.String()) + ": " + err.Error())
		}
	}
	return nil
}
