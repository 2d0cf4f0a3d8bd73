package hep_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/evid/evid/source/hep"
	"github.com/evid/evid/source/hep/heptest"
)

// everything has a chunk of each type of the specification, and some of vendors.
func everything() []byte {
	uint16s := func(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
	uint32s := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	return heptest.AppendPacket(nil, heptest.Packet{
		Source:      netip.MustParseAddrPort("198.51.100.7:5060"),
		Destination: netip.MustParseAddrPort("192.0.2.1:5061"),
		Protocol:    17, Type: hep.SIP, Agent: 0xffffffff, Time: time.Unix(1_700_000_000, 120_000_000),
		Payload: []byte("OPTIONS"),
		More: []heptest.Chunk{
			{Type: 0x0d, Payload: uint16s(30)},
			{Type: 0x0e, Payload: []byte("secret")},
			{Type: 0x11, Payload: []byte("call-1")},
			{Type: 0x12, Payload: uint16s(100)},
			{Type: 0x13, Payload: []byte("node1")},
			{Type: 0x14, Payload: []byte{0, 0, 2, 0, 0, 0, 0, 1}},
			{Type: 0x15, Payload: []byte{2, 0, 0, 0, 0, 2}},
			{Type: 0x16, Payload: uint16s(0x0800)},
			{Type: 0x17, Payload: []byte{0x12}},
			{Type: 0x18, Payload: []byte{0x68}},
			{Type: 0x20, Payload: uint16s(435)},
			{Type: 0x21, Payload: uint16s(93)},
			{Type: 0x22, Payload: []byte("52.5,13.4")},
			{Type: 0x23, Payload: uint32s(20)},
			{Type: 0x24, Payload: []byte("call")},
			{Type: 0x25, Payload: []byte(`["a"]`)},
			{Type: 0x26, Payload: []byte("t=1")},
			{Type: 0x27, Payload: uint16s(1)},
			{Type: 0x28, Payload: uint16s(2)},
			{Type: 0x29, Payload: []byte("group")},
			{Type: 0x30, Payload: []byte("of a later revision")},
			{Vendor: 3, Type: 101, Payload: []byte{0, 0, 1, 0}},
			{Vendor: 3, Type: 102, Payload: []byte{192, 0, 2, 9}},
			{Vendor: 3, Type: 103, Payload: []byte{255, 255, 255, 255, 255, 255, 255, 255}},
			{Vendor: 3, Type: 104},
		},
	})
}

func TestValue(t *testing.T) {
	p := decode(t, everything())
	for name, want := range map[string]string{
		"proto_family":     `"AF_INET"`,
		"proto_id":         `"udp"`,
		"src_ip":           `"198.51.100.7"`,
		"dst_ip":           `"192.0.2.1"`,
		"src_port":         "5060",
		"dst_port":         "5061",
		"timestamp":        "1700000000",
		"timestamp_us":     "120000",
		"proto_type":       `"SIP"`,
		"captagent_id":     "4294967295",
		"keep_alive":       "30",
		"auth_key":         `"secret"`,
		"payload":          `"OPTIONS"`,
		"correlation_id":   `"call-1"`,
		"vlan_id":          "100",
		"captagent_name":   `"node1"`,
		"src_mac":          `"02:00:00:00:00:01"`,
		"dst_mac":          `"02:00:00:00:00:02"`,
		"ether_type":       "2048",
		"tcp_flags":        "18",
		"ip_tos":           "104",
		"mos":              "435",
		"r_factor":         "93",
		"geo":              `"52.5,13.4"`,
		"jitter":           "20",
		"transaction_type": `"call"`,
		"payload_keys":     `"[\"a\"]"`,
		"tags":             `"t=1"`,
		"tag_type":         "1",
		"event_type":       "2",
		"group_id":         `"group"`,

		"SRC_IP":            `"198.51.100.7"`,
		" 0x0003 ":          `"198.51.100.7"`,
		"0x0005":            `"198.51.100.7"`, // as in OpenSIPS, no difference between IPv4 and IPv6
		"7":                 "5060",
		"0x000B":            `"SIP"`,
		"0x0010":            `"OPTIONS"`,
		"17":                `"call-1"`,
		"0x0011":            `"call-1"`,
		"0:0x0011":          `"call-1"`,
		"0x0030":            `"of a later revision"`,
		"0x0031":            "NULL",
		"3:101":             `"\x00\x00\x01\x00"`,
		"0x0003:0x0065":     `"\x00\x00\x01\x00"`,
		"3:101:uint32":      "256",
		"3:101:inet4-addr":  `"0.0.1.0"`,
		"3:102:inet4-addr":  `"192.0.2.9"`,
		"3:103:uint64":      "NULL", // it does not fit
		"3:103:inet6-addr":  "NULL", // it is none
		"3:104":             `""`,
		"3:104:uint8":       "NULL",
		"3:104:utf8-string": `""`,
		"4:101":             "NULL",
	} {
		field, err := hep.ParseField(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := p.Value(field).GoString(); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// What a packet does not have is NULL.
func TestNoValue(t *testing.T) {
	p := decode(t, []byte("HEP3\x00\x06"))
	for i := range 0x40 {
		field, err := hep.ParseField(fmt.Sprintf("%#04x", i))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Value(field); !got.IsNull() {
			t.Errorf("%s: got %#v", field, got)
		}
	}
}

// What OpenSIPS has no name for is a number.
func TestUnnamedValue(t *testing.T) {
	p := decode(t, packetOf(t, "0000 0002 0007 01  0000 000b 0007 64"))
	for name, want := range map[string]string{"proto_id": "1", "proto_type": "100"} {
		field, err := hep.ParseField(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Value(field).GoString(); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestParseFieldErrors(t *testing.T) {
	for _, name := range []string{"", "source", "-1", "0x10000", "65536:1", "3:", "3:1:float", "3:1:uint8:", "$var(x)"} {
		field, err := hep.ParseField(name)
		if err == nil {
			t.Errorf("%q: got %s, want an error", name, field)
			continue
		}
		if text := err.Error(); !strings.HasPrefix(text, "expected ") || !strings.Contains(text, "got ") {
			t.Errorf("%q: %s", name, text)
		}
	}
}
