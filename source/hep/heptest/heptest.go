// Package heptest makes HEP packets of version 3 for tests and benchmarks. It shares
// nothing with the decoder.
package heptest

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// A Packet is what a packet says. Addresses of both sides are of one family; a part that
// has its zero value makes no chunk.
type Packet struct {
	Source, Destination netip.AddrPort
	Protocol            uint8 // IP protocol number: 17 is UDP
	Type                uint8 // what the payload is: 1 is SIP
	Agent               uint32
	Time                time.Time // microseconds count
	Payload             []byte
	More                []Chunk // behind the others
}

// A Chunk is one more piece of a packet. The payload may have up to 65529 octets.
type Chunk struct {
	Vendor, Type uint16
	Payload      []byte
}

// AppendPacket appends a packet. It must not be larger than 65535 octets in all.
func AppendPacket(dst []byte, p Packet) []byte {
	start := len(dst)
	dst = append(dst, "HEP3\x00\x00"...)
	src, dest := p.Source.Addr(), p.Destination.Addr()
	switch {
	case src.Is4():
		dst = AppendChunk(dst, 0, 0x01, []byte{2})
		dst = AppendChunk(dst, 0, 0x03, src.AsSlice())
		dst = AppendChunk(dst, 0, 0x04, dest.AsSlice())
	case src.Is6():
		dst = AppendChunk(dst, 0, 0x01, []byte{10})
		dst = AppendChunk(dst, 0, 0x05, src.AsSlice())
		dst = AppendChunk(dst, 0, 0x06, dest.AsSlice())
	}
	if p.Protocol != 0 {
		dst = AppendChunk(dst, 0, 0x02, []byte{p.Protocol})
	}
	if src.IsValid() {
		dst = AppendChunk(dst, 0, 0x07, binary.BigEndian.AppendUint16(nil, p.Source.Port()))
		dst = AppendChunk(dst, 0, 0x08, binary.BigEndian.AppendUint16(nil, p.Destination.Port()))
	}
	if !p.Time.IsZero() {
		dst = AppendChunk(dst, 0, 0x09, binary.BigEndian.AppendUint32(nil, uint32(p.Time.Unix())))
		dst = AppendChunk(dst, 0, 0x0a, binary.BigEndian.AppendUint32(nil, uint32(p.Time.Nanosecond()/1000)))
	}
	if p.Type != 0 {
		dst = AppendChunk(dst, 0, 0x0b, []byte{p.Type})
	}
	if p.Agent != 0 {
		dst = AppendChunk(dst, 0, 0x0c, binary.BigEndian.AppendUint32(nil, p.Agent))
	}
	if p.Payload != nil {
		dst = AppendChunk(dst, 0, 0x0f, p.Payload)
	}
	for _, c := range p.More {
		dst = AppendChunk(dst, c.Vendor, c.Type, c.Payload)
	}
	binary.BigEndian.PutUint16(dst[start+4:], uint16(len(dst)-start))
	return dst
}

// AppendChunk appends a chunk.
func AppendChunk(dst []byte, vendor, chunkType uint16, payload []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, vendor)
	dst = binary.BigEndian.AppendUint16(dst, chunkType)
	dst = binary.BigEndian.AppendUint16(dst, uint16(6+len(payload)))
	return append(dst, payload...)
}
