package hep

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

const (
	headerSize      = 6 // "HEP3", then the length of the packet
	chunkHeaderSize = 6 // vendor, type, length of the chunk
)

// Decode reads one packet of any version. What the Packet holds are parts of the octets
// it was read from, but for a compressed payload and versions 1 and 2; nothing else is
// allocated. Octets behind the length that the packet has are ignored, as OpenSIPS does.
//
// The error names the chunk and where it is. Chunks that say what was captured must have
// the size that the specification gives them, and a packet that carries SIP needs a
// payload and a source; others may be missing or of any size.
func Decode(packet []byte) (Packet, error) {
	return new(decoder).decode(packet)
}

// A decoder decodes packets one at a time. A decompressed payload is valid until the next
// one.
type decoder struct {
	inflate *inflater // nil: not used yet
}

func (d *decoder) decode(data []byte) (Packet, error) {
	p, err := d.parse(data)
	if err == nil && p.Type == SIP {
		err = p.checkSIP()
	}
	if err != nil {
		return Packet{}, fmt.Errorf("decode HEP packet: %w", err)
	}
	return p, nil
}

var errNoHEP = errors.New(`expected "HEP3" or "EEP3", or a header of version 1 or 2`)

func (d *decoder) parse(data []byte) (Packet, error) {
	switch {
	case isVersion3(data):
		return d.version3(data)
	case len(data) > 0 && (data[0] == 1 || data[0] == 2):
		chunks, err := convert(data)
		if err != nil {
			return Packet{}, fmt.Errorf("version %d: %w", data[0], err)
		}
		p := Packet{Version: int(data[0])}
		return p, d.chunks(&p, chunks)
	default:
		return Packet{}, errNoHEP
	}
}

// isVersion3 reports whether this is the start of a packet of version 3, which has two
// names.
func isVersion3(data []byte) bool {
	return len(data) >= 4 && (string(data[:4]) == "HEP3" || string(data[:4]) == "EEP3")
}

func (d *decoder) version3(data []byte) (Packet, error) {
	p := Packet{Version: 3}
	if len(data) < headerSize {
		return p, fmt.Errorf("expected a header of %d octets, got %d", headerSize, len(data))
	}
	total := int(binary.BigEndian.Uint16(data[4:]))
	if total < headerSize || total > len(data) {
		return p, fmt.Errorf("expected a length from %d to %d, what there is, got %d", headerSize, len(data), total)
	}
	err := d.chunks(&p, data[headerSize:total:total])
	return p, err
}

// A chunk is a piece of a packet: a number of a vendor, and what it means there.
type chunk struct {
	vendor, chunkType uint16
	payload           []byte
}

func (c chunk) size() int { return chunkHeaderSize + len(c.payload) }

// chunkAt returns the chunk that starts there and whose length is right.
func chunkAt(data []byte, at int) chunk {
	end := at + int(binary.BigEndian.Uint16(data[at+4:]))
	return chunk{
		vendor:    binary.BigEndian.Uint16(data[at:]),
		chunkType: binary.BigEndian.Uint16(data[at+2:]),
		payload:   data[at+chunkHeaderSize : end : end],
	}
}

// appendChunk appends a chunk whose payload has at most 65529 octets.
func appendChunk(dst []byte, chunkType uint16, payload ...byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, 0)
	dst = binary.BigEndian.AppendUint16(dst, chunkType)
	dst = binary.BigEndian.AppendUint16(dst, uint16(chunkHeaderSize+len(payload)))
	return append(dst, payload...)
}

// An endpoint is what chunks say of one side. There is one address, if all is well.
type endpoint struct {
	v4, v6 []byte
	port   uint16
}

func (e endpoint) addrPort(family uint8) netip.AddrPort {
	addr := e.v4
	if addr == nil || (family != familyIPv4 && e.v6 != nil) {
		addr = e.v6
	}
	return netip.AddrPortFrom(ipAddr(addr), e.port)
}

// The number of an IP family is that of the sender's system: IPv6 is 10 on Linux, and
// others have others. IPv4 is 2 everywhere.
const familyIPv4 = 2

// chunks reads all chunks and fills in the packet.
func (d *decoder) chunks(p *Packet, data []byte) error {
	var r reading
	n := 0
	for at := 0; at < len(data); n++ {
		if err := checkChunk(data, at, n); err != nil {
			return err
		}
		c := chunkAt(data, at)
		if c.vendor == 0 {
			if want := fixedSize(c.chunkType); want > 0 && want != len(c.payload) {
				return fmt.Errorf("%s: expected a payload of %d octets, got %d", where(data, at), want, len(c.payload))
			}
			r.take(p, c, at)
		}
		at += c.size()
	}
	p.chunks = data
	p.Source, p.Destination = r.source.addrPort(r.family), r.destination.addrPort(r.family)
	if r.timed {
		p.Time = time.Unix(int64(r.seconds), int64(r.micros)*int64(time.Microsecond))
	}
	if !r.compressed {
		return nil
	}
	if d.inflate == nil {
		d.inflate = new(inflater)
	}
	var err error
	if p.Payload, err = d.inflate.all(chunkAt(data, r.payloadAt).payload); err != nil {
		return fmt.Errorf("%s: %w", where(data, r.payloadAt), err)
	}
	return nil
}

// A reading is what several chunks say together.
type reading struct {
	source, destination endpoint
	seconds, micros     uint32
	payloadAt           int // where its chunk starts
	family              uint8
	timed, compressed   bool
}

// take takes what a chunk of vendor 0 says, whose size is right.
func (r *reading) take(p *Packet, c chunk, at int) {
	switch c.chunkType {
	case chunkFamily:
		r.family = c.payload[0]
	case chunkProtocol:
		p.Protocol = c.payload[0]
	case chunkSource4:
		r.source.v4 = c.payload
	case chunkSource6:
		r.source.v6 = c.payload
	case chunkDestination4:
		r.destination.v4 = c.payload
	case chunkDestination6:
		r.destination.v6 = c.payload
	case chunkSourcePort:
		r.source.port = binary.BigEndian.Uint16(c.payload)
	case chunkDestinationPort:
		r.destination.port = binary.BigEndian.Uint16(c.payload)
	case chunkSeconds:
		r.seconds, r.timed = binary.BigEndian.Uint32(c.payload), true
	case chunkMicros:
		r.micros = binary.BigEndian.Uint32(c.payload)
	case chunkProtoType:
		p.Type = c.payload[0]
	case chunkAgent:
		p.Agent = binary.BigEndian.Uint32(c.payload)
	case chunkPayload, chunkCompressed:
		p.Payload, r.payloadAt, r.compressed = c.payload, at, c.chunkType == chunkCompressed
	}
}

// checkChunk checks that there is a whole chunk, the nth, counted from 0.
func checkChunk(data []byte, at, n int) error {
	if n == MaxChunks {
		return fmt.Errorf("expected at most %d chunks, got more", MaxChunks)
	}
	rest := len(data) - at
	if rest < chunkHeaderSize {
		return fmt.Errorf("octet %d: expected a chunk, of at least %d octets, got %d", headerSize+at, chunkHeaderSize, rest)
	}
	if size := int(binary.BigEndian.Uint16(data[at+4:])); size < chunkHeaderSize || size > rest {
		return fmt.Errorf("%s: expected a length from %d to %d, what is left, got %d", where(data, at), chunkHeaderSize, rest, size)
	}
	return nil
}

// where says which chunk starts there. Octets are counted from the start of the packet.
func where(data []byte, at int) string {
	f := Field{vendor: binary.BigEndian.Uint16(data[at:]), chunkType: binary.BigEndian.Uint16(data[at+2:])}
	return fmt.Sprintf("octet %d: chunk %s", headerSize+at, f)
}

// checkSIP checks that there is what a SIP message needs, to be of any use.
func (p *Packet) checkSIP() error {
	switch {
	case p.Payload == nil:
		return errors.New("expected a payload (chunk 0x000f or 0x0010) with protocol type 1 (SIP), got none")
	case !p.Source.Addr().IsValid():
		return errors.New("expected a source address (chunk 0x0003 or 0x0005) with protocol type 1 (SIP), got none")
	default:
		return nil
	}
}
