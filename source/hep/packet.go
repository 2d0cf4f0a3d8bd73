package hep

import (
	"net/netip"
	"time"
)

// Limits of a packet.
const (
	// MaxPacket is the size of the largest packet, in octets: its length has 16 bits.
	MaxPacket = 65535
	// MaxChunks is how many chunks a packet may have.
	MaxChunks = 256
	// MaxPayload is the size of the largest payload once it is decompressed, in octets.
	MaxPayload = 65536
)

// SIP is the protocol type of a packet that carries a SIP message.
const SIP = 1

// A Packet is a decoded packet: a message that somebody captured, and what is known about
// its way. What the sender did not say has its zero value.
type Packet struct {
	Version     int            // of HEP: 1, 2 or 3
	Source      netip.AddrPort // of the captured message; IPv4 also where it came as ::ffff:a.b.c.d
	Destination netip.AddrPort // of the captured message, likewise
	Protocol    uint8          // IP protocol number that it came over, see [Packet.Transport]
	Type        uint8          // what the payload is: [SIP], or another of the specification's "capture protocol types"
	Agent       uint32         // id of the capture agent
	Time        time.Time      // when it was captured
	Payload     []byte         // the captured message, decompressed; a part of what was decoded if it did not have to be

	chunks []byte // all chunks, one after the other, whose lengths are right
}

// Transport is the name of [Packet.Protocol]: "udp", "tcp", "tls", "sctp" or "ws"; empty
// for any other. TLS and WebSocket have no number of their own; OpenSIPS and Kamailio use
// 22 and 50 for them.
func (p *Packet) Transport() string {
	switch p.Protocol {
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 22: // XNS IDP
		return "tls"
	case 50: // ESP
		return "ws"
	case 132:
		return "sctp"
	default:
		return ""
	}
}

// Chunk returns the payload of a chunk as it came, a part of what was decoded. Vendor 0
// has the chunks of the specification. The last one counts, should there be several.
func (p *Packet) Chunk(vendor, chunkType uint16) (payload []byte, found bool) {
	for at := 0; at < len(p.chunks); {
		c := chunkAt(p.chunks, at)
		if c.vendor == vendor && c.chunkType == chunkType {
			payload, found = c.payload, true
		}
		at += c.size()
	}
	return payload, found
}

// ipAddr reads an IPv4 or IPv6 address, which has the right size.
func ipAddr(payload []byte) netip.Addr {
	addr, _ := netip.AddrFromSlice(payload)
	return addr.Unmap()
}
