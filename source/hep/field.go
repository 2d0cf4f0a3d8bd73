package hep

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/evid/evid/script/value"
)

// The generic chunks, those of vendor 0, that the decoder looks at.
const (
	chunkFamily          = 0x01
	chunkProtocol        = 0x02
	chunkSource4         = 0x03
	chunkDestination4    = 0x04
	chunkSource6         = 0x05
	chunkDestination6    = 0x06
	chunkSourcePort      = 0x07
	chunkDestinationPort = 0x08
	chunkSeconds         = 0x09
	chunkMicros          = 0x0a
	chunkProtoType       = 0x0b
	chunkAgent           = 0x0c
	chunkPayload         = 0x0f
	chunkCompressed      = 0x10
)

// A dataType is what the payload of a chunk is.
type dataType uint8

const (
	octets dataType = iota // a string: any octets
	number                 // an unsigned integer in network byte order
	ipv4
	ipv6
	mac
)

// generic are the chunks of vendor 0 by their type. Size is set where another one is an
// error, in octets. Names are those of OpenSIPS' sipcapture and proto_hep; from keep_alive
// on but for payload and correlation_id, they are evid's own.
var generic = [...]struct {
	name string
	data dataType
	size int
}{
	chunkFamily:          {"proto_family", number, 1},
	chunkProtocol:        {"proto_id", number, 1},
	chunkSource4:         {"src_ip", ipv4, 4},
	chunkDestination4:    {"dst_ip", ipv4, 4},
	chunkSource6:         {"src_ip", ipv6, 16},
	chunkDestination6:    {"dst_ip", ipv6, 16},
	chunkSourcePort:      {"src_port", number, 2},
	chunkDestinationPort: {"dst_port", number, 2},
	chunkSeconds:         {"timestamp", number, 4},
	chunkMicros:          {"timestamp_us", number, 4},
	chunkProtoType:       {"proto_type", number, 1},
	chunkAgent:           {"captagent_id", number, 4},
	0x0d:                 {"keep_alive", number, 0},
	0x0e:                 {"auth_key", octets, 0},
	chunkPayload:         {"payload", octets, 0},
	chunkCompressed:      {"payload", octets, 0},
	0x11:                 {"correlation_id", octets, 0},
	0x12:                 {"vlan_id", number, 0},
	0x13:                 {"captagent_name", octets, 0},
	0x14:                 {"src_mac", mac, 0},
	0x15:                 {"dst_mac", mac, 0},
	0x16:                 {"ether_type", number, 0},
	0x17:                 {"tcp_flags", number, 0},
	0x18:                 {"ip_tos", number, 0},
	0x20:                 {"mos", number, 0},
	0x21:                 {"r_factor", number, 0},
	0x22:                 {"geo", octets, 0},
	0x23:                 {"jitter", number, 0},
	0x24:                 {"transaction_type", octets, 0},
	0x25:                 {"payload_keys", octets, 0},
	0x26:                 {"tags", octets, 0},
	0x27:                 {"tag_type", number, 0},
	0x28:                 {"event_type", number, 0},
	0x29:                 {"group_id", octets, 0},
}

// fixedSize is the size that a generic chunk must have; 0: any.
func fixedSize(chunkType uint16) int {
	if int(chunkType) < len(generic) {
		return generic[chunkType].size
	}
	return 0
}

// A Field names what [Packet.Value] reads. [ParseField] makes one.
type Field struct {
	vendor, chunkType uint16
	data              dataType
}

// String gives the field as its chunk: "0x0007 (src_port)" or "0x0003:0x0065".
func (f Field) String() string {
	switch {
	case f.vendor != 0:
		return fmt.Sprintf("0x%04x:0x%04x", f.vendor, f.chunkType)
	case int(f.chunkType) < len(generic) && generic[f.chunkType].name != "":
		return fmt.Sprintf("0x%04x (%s)", f.chunkType, generic[f.chunkType].name)
	default:
		return fmt.Sprintf("0x%04x", f.chunkType)
	}
}

// ParseField reads the name of a field as scripts write it, in any case:
//
//	src_port              a chunk of the specification, by name
//	7, 0x0007             the same by number
//	3:101, 0x0003:0x0065  a chunk of a vendor, 3 being OpenSIPS: a string of its octets
//	3:101:uint32          the same as an integer
//	3:101:inet4-addr      the same as an address
//
// The types of data are those of OpenSIPS' hep_get: uint8, uint16, uint32, inet4-addr,
// inet6-addr, utf8-string and octet-string; and uint64.
func ParseField(text string) (Field, error) {
	name := strings.TrimSpace(text)
	for i, g := range generic {
		if g.name != "" && strings.EqualFold(g.name, name) {
			return Field{chunkType: uint16(i), data: g.data}, nil
		}
	}
	parts := strings.Split(name, ":")
	var f Field
	if len(parts) == 1 {
		parts = []string{"0", name}
	}
	vendor, errVendor := strconv.ParseUint(parts[0], 0, 16)
	chunkType, errType := strconv.ParseUint(parts[1], 0, 16)
	if errVendor != nil || errType != nil || len(parts) > 3 {
		return f, fmt.Errorf("expected a chunk, such as src_ip, 0x0003 or, with its vendor, 3:101, got %q: the names are %s",
			text, fieldNames())
	}
	f.vendor, f.chunkType = uint16(vendor), uint16(chunkType)
	if f.vendor == 0 && int(f.chunkType) < len(generic) {
		f.data = generic[f.chunkType].data
	}
	if len(parts) == 3 {
		data, err := parseDataType(parts[2])
		if err != nil {
			return f, err
		}
		f.data = data
	}
	return f, nil
}

func parseDataType(text string) (dataType, error) {
	switch strings.ToLower(text) {
	case "uint8", "uint16", "uint32", "uint64":
		return number, nil
	case "inet4-addr":
		return ipv4, nil
	case "inet6-addr":
		return ipv6, nil
	case "utf8-string", "octet-string":
		return octets, nil
	default:
		return 0, fmt.Errorf("expected uint8, uint16, uint32, uint64, inet4-addr, inet6-addr, utf8-string or octet-string, got %q", text)
	}
}

// fieldNames lists the names of the generic chunks.
func fieldNames() string {
	var names []string
	seen := make(map[string]bool)
	for _, g := range generic {
		if g.name != "" && !seen[g.name] {
			seen[g.name] = true
			names = append(names, g.name)
		}
	}
	return strings.Join(names, ", ")
}

// Value returns what a script has of a field: NULL if the packet does not have it, an
// integer, or a string. Addresses and hardware addresses are strings; so are these, as in
// OpenSIPS: proto_family is AF_INET or AF_INET6, proto_id the transport's name,
// proto_type the name of what is carried, where OpenSIPS has one. The payload is
// decompressed, and an integer that does not fit in 63 bits is NULL.
func (p *Packet) Value(f Field) value.Value {
	if f.vendor == 0 {
		if v, known := p.decoded(f.chunkType); known {
			return v
		}
	}
	payload, found := p.Chunk(f.vendor, f.chunkType)
	if !found {
		return value.Value{}
	}
	switch f.data {
	case number:
		return integerValue(payload)
	case ipv4, ipv6:
		addr, ok := netip.AddrFromSlice(payload)
		if !ok {
			return value.Value{}
		}
		return value.String(addr.String())
	case mac:
		return macValue(payload)
	default:
		return value.String(string(payload))
	}
}

// decoded is the value of a generic chunk that the packet has in another form.
func (p *Packet) decoded(chunkType uint16) (v value.Value, known bool) {
	switch chunkType {
	case chunkSource4, chunkSource6:
		return addrValue(p.Source.Addr()), true
	case chunkDestination4, chunkDestination6:
		return addrValue(p.Destination.Addr()), true
	case chunkPayload, chunkCompressed:
		if p.Payload == nil {
			return value.Value{}, true
		}
		return value.String(string(p.Payload)), true
	}
	if _, found := p.Chunk(0, chunkType); !found {
		return value.Value{}, false
	}
	switch chunkType {
	case chunkFamily:
		if addr := p.Source.Addr(); addr.Is6() {
			return value.String("AF_INET6"), true
		}
		return value.String("AF_INET"), true
	case chunkProtocol:
		if name := p.Transport(); name != "" {
			return value.String(name), true
		}
	case chunkProtoType:
		if name := typeName(p.Type); name != "" {
			return value.String(name), true
		}
	}
	return value.Value{}, false
}

// typeName is the name that OpenSIPS has for a protocol type; empty: none.
func typeName(protoType uint8) string {
	names := [...]string{
		"reserved", "SIP", "XMPP", "SDP", "RTP", "RTCP", "MGCP", "MEGACO(H.248)",
		"M2UA(SS7/SIGTRAN)", "M3UA(SS7/SIGTRAN)", "IAX", "H322", "H321",
	}
	if int(protoType) < len(names) {
		return names[protoType]
	}
	return ""
}

func addrValue(addr netip.Addr) value.Value {
	if !addr.IsValid() {
		return value.Value{}
	}
	return value.String(addr.String())
}

// integerValue reads an integer of up to 8 octets: not all senders have the size that the
// specification says.
func integerValue(payload []byte) value.Value {
	var buf [8]byte
	if len(payload) == 0 || len(payload) > len(buf) {
		return value.Value{}
	}
	copy(buf[len(buf)-len(payload):], payload)
	n := binary.BigEndian.Uint64(buf[:])
	if n > math.MaxInt64 {
		return value.Value{}
	}
	return value.Int(int64(n))
}

// macValue reads a hardware address, which is the lower 6 octets of an integer of 8.
func macValue(payload []byte) value.Value {
	if len(payload) == 8 {
		payload = payload[2:]
	}
	if len(payload) != 6 {
		return value.Value{}
	}
	return value.String(net.HardwareAddr(payload).String())
}
