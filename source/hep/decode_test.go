package hep_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/hex"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/evid/evid/source/hep"
	"github.com/evid/evid/source/hep/heptest"
)

// specification is the example at the end of the specification of version 3.
const specification = `
	48 45 50 33
	00 71
	00 00 00 01 00 07 02
	00 00 00 02 00 07 11
	00 00 00 03 00 0a d4 ca 00 01
	00 00 00 04 00 0a 52 74 00 d3
	00 00 00 07 00 08 2e ea
	00 00 00 08 00 08 13 c4
	00 00 00 09 00 0a 4e 49 82 cb
	00 00 00 0a 00 0a 00 01 d4 c0
	00 00 00 0b 00 07 01
	00 00 00 0c 00 0a 00 00 00 E4
	00 00 00 0f 00 14 49 4e 56 49 54 45 20 73 69 70 3a 62 6f 62`

// octets reads hexadecimal digits; blanks do not count.
func octets(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decode(t testing.TB, data []byte) hep.Packet {
	t.Helper()
	p, err := hep.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// show is all that a packet says, for comparing.
func show(p hep.Packet) string {
	text := "v" + string(rune('0'+p.Version)) + " " + p.Transport() + " " + p.Source.String() + " > " + p.Destination.String()
	if !p.Time.IsZero() {
		text += " " + p.Time.UTC().Format("2006-01-02T15:04:05.000000")
	}
	return text + " " + string(p.Payload)
}

func TestDecode(t *testing.T) {
	v6 := netip.MustParseAddrPort("[2001:db8::1]:5060")
	mapped := netip.MustParseAddrPort("[::ffff:192.0.2.7]:5061")
	for _, test := range []struct {
		name   string
		packet []byte
		want   string
	}{
		{
			"the example of the specification", octets(t, specification),
			"v3 udp 212.202.0.1:12010 > 82.116.0.211:5060 2011-08-15T20:34:19.120000 INVITE sip:bob",
		},
		{
			"by the name EEP3", append([]byte("EEP3"), octets(t, specification)[4:]...),
			"v3 udp 212.202.0.1:12010 > 82.116.0.211:5060 2011-08-15T20:34:19.120000 INVITE sip:bob",
		},
		{
			"something behind it", append(octets(t, specification), 0),
			"v3 udp 212.202.0.1:12010 > 82.116.0.211:5060 2011-08-15T20:34:19.120000 INVITE sip:bob",
		},
		{
			"IPv6, TLS", heptest.AppendPacket(nil, heptest.Packet{Source: v6, Destination: v6, Protocol: 22, Type: 1, Payload: []byte("x")}),
			"v3 tls [2001:db8::1]:5060 > [2001:db8::1]:5060 x",
		},
		{
			"IPv4 within IPv6", heptest.AppendPacket(nil, heptest.Packet{Source: mapped, Destination: v6, Protocol: 6, Type: 1, Payload: []byte("x")}),
			"v3 tcp 192.0.2.7:5061 > [2001:db8::1]:5060 x",
		},
		{
			"nothing", []byte("HEP3\x00\x06"),
			"v3  invalid AddrPort > invalid AddrPort ",
		},
		{
			"the last chunk counts", heptest.AppendPacket(nil, heptest.Packet{
				Source: v6, Destination: v6, Protocol: 132, Type: 1, Payload: []byte("x"),
				More: []heptest.Chunk{{Type: 0x07, Payload: []byte{0, 9}}, {Vendor: 3, Type: 0x0f, Payload: []byte("vendor")}, {Type: 0x0f, Payload: []byte("y")}},
			}),
			"v3 sctp [2001:db8::1]:9 > [2001:db8::1]:5060 y",
		},
		{
			"version 1", octets(t, "01 10 02 11 13c4 13c5 c0000201 c0000202 4142"),
			"v1 udp 192.0.2.1:5060 > 192.0.2.2:5061 AB",
		},
		{
			"version 1, IPv6", octets(t, "01 28 0a 06 13c4 13c5 20010db8000000000000000000000001 20010db8000000000000000000000002 41"),
			"v1 tcp [2001:db8::1]:5060 > [2001:db8::2]:5061 A",
		},
		{
			"version 2", octets(t, "02 10 02 11 13c4 13c5 c0000201 c0000202 cb82494e c0d40100 e400 0000 4142"),
			"v2 udp 192.0.2.1:5060 > 192.0.2.2:5061 2011-08-15T20:34:19.120000 AB",
		},
		{
			"version 2, its time in the length", octets(t, "02 1c 02 11 13c4 13c5 c0000201 c0000202 cb82494e c0d40100 e400 0000 4142"),
			"v2 udp 192.0.2.1:5060 > 192.0.2.2:5061 2011-08-15T20:34:19.120000 AB",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := show(decode(t, test.packet)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// Both addresses in one packet: the family decides.
func TestFamily(t *testing.T) {
	const both = " 0000 0003 000a c0000201  0000 0005 0016 20010db8000000000000000000000001 "
	for family, want := range map[string]string{
		"0000 0001 0007 02": "192.0.2.1",
		"0000 0001 0007 0a": "2001:db8::1",
		"0000 0001 0007 1e": "2001:db8::1",
	} {
		p := decode(t, packetOf(t, family+both))
		if got := p.Source.Addr().String(); got != want {
			t.Errorf("%s: got %s, want %s", family, got, want)
		}
	}
}

// packetOf is a packet of version 3 with these chunks.
func packetOf(t testing.TB, chunks string) []byte {
	t.Helper()
	data := octets(t, chunks)
	total := 6 + len(data)
	return append([]byte{'H', 'E', 'P', '3', byte(total >> 8), byte(total)}, data...)
}

func TestDecodeErrors(t *testing.T) {
	for _, test := range []struct {
		name   string
		packet []byte
		want   string
	}{
		{"empty", nil, `expected "HEP3" or "EEP3", or a header of version 1 or 2`},
		{"SIP without HEP", []byte(options), `expected "HEP3" or "EEP3", or a header of version 1 or 2`},
		{"no length", []byte("HEP3\x00"), "expected a header of 6 octets, got 5"},
		{"length too small", []byte("HEP3\x00\x05"), "expected a length from 6 to 6, what there is, got 5"},
		{"cut off", octets(t, specification)[:112], "expected a length from 6 to 112, what there is, got 113"},
		{"half a chunk", packetOf(t, "0000 0001 00"), "octet 6: expected a chunk, of at least 6 octets, got 5"},
		{"a chunk of 5", packetOf(t, "0000 0001 0005 02"), "octet 6: chunk 0x0001 (proto_family): expected a length from 6 to 7, what is left, got 5"},
		{
			"a chunk that goes on too long", packetOf(t, "0000 0001 0007 02  0003 0065 0008 02"),
			"octet 13: chunk 0x0003:0x0065: expected a length from 6 to 7, what is left, got 8",
		},
		{
			"a port of 3", packetOf(t, "0000 0007 0009 020304"),
			"octet 6: chunk 0x0007 (src_port): expected a payload of 2 octets, got 3",
		},
		{
			"IPv4 of 16", packetOf(t, "0000 0003 0016 20010db8000000000000000000000001"),
			"octet 6: chunk 0x0003 (src_ip): expected a payload of 4 octets, got 16",
		},
		{"257 chunks", packetOf(t, strings.Repeat("0000 0041 0006 ", 257)), "expected at most 256 chunks, got more"},
		{"no source", packetOf(t, "0000 000b 0007 01  0000 000f 0007 41"), "expected a source address (chunk 0x0003 or 0x0005) with protocol type 1 (SIP), got none"},
		{"no payload", packetOf(t, "0000 000b 0007 01  0000 0003 000a c0000201"), "expected a payload (chunk 0x000f or 0x0010) with protocol type 1 (SIP), got none"},
		{"compressed otherwise", packetOf(t, "0000 0010 0008 4142"), "octet 6: chunk 0x0010 (payload): decompress payload: expected gzip or zlib"},
		{"gzip cut off", packetOf(t, "0000 0010 0008 1f8b"), "octet 6: chunk 0x0010 (payload): decompress payload: unexpected EOF"},
		{"zlib cut off", packetOf(t, "0000 0010 0008 789c"), "octet 6: chunk 0x0010 (payload): decompress payload: unexpected EOF"},
		{"version 1, half a header", octets(t, "01 10 02 11"), "version 1: expected a header of at least 8 octets, got 4"},
		{"version 1, no addresses", octets(t, "01 10 02 11 13c4 13c5"), "version 1: expected a header of 16 octets, got 8"},
		{"version 2, no time", octets(t, "02 10 02 11 13c4 13c5 c0000201 c0000202"), "version 2: expected a header of 28 octets, got 16"},
		{
			"version 1 with the length of version 2", octets(t, "01 1c 02 11 13c4 13c5 c0000201 c0000202"),
			"version 1: octet 1: expected a header of 16 octets with IP family 2, got 28",
		},
		{"a bomb", compressed(t, bytes.Repeat([]byte("A"), hep.MaxPayload+1), toGzip), "octet 6: chunk 0x0010 (payload): decompress payload: expected at most 65536 octets, got more"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := hep.Decode(test.packet)
			if err == nil || err.Error() != "decode HEP packet: "+test.want {
				t.Errorf("got  %v\nwant decode HEP packet: %s", err, test.want)
			}
			if p.Version != 0 {
				t.Errorf("a packet beside the error: %+v", p)
			}
		})
	}
	if _, err := hep.Decode(packetOf(t, strings.Repeat("0000 0041 0006 ", 256))); err != nil {
		t.Errorf("256 chunks: %v", err)
	}
}

func toGzip(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
func toZlib(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }

// compressed is a packet with a compressed payload and no type.
func compressed(t testing.TB, payload []byte, by func(io.Writer) io.WriteCloser) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := by(&buf)
	w.Write(payload)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return heptest.AppendPacket(nil, heptest.Packet{More: []heptest.Chunk{{Type: 0x10, Payload: buf.Bytes()}}})
}

func TestCompressed(t *testing.T) {
	largest := bytes.Repeat([]byte("A"), hep.MaxPayload)
	for name, by := range map[string]func(io.Writer) io.WriteCloser{"gzip": toGzip, "zlib": toZlib} {
		if p := decode(t, compressed(t, largest, by)); !bytes.Equal(p.Payload, largest) {
			t.Errorf("%s: got %d octets, want %d", name, len(p.Payload), len(largest))
		}
	}
}

func TestChunk(t *testing.T) {
	p := decode(t, heptest.AppendPacket(nil, heptest.Packet{More: []heptest.Chunk{
		{Vendor: 3, Type: 0x65, Payload: []byte("one")},
		{Vendor: 0, Type: 0x65, Payload: []byte("generic")},
		{Vendor: 3, Type: 0x65, Payload: []byte("two")},
		{Vendor: 0, Type: 0x66},
	}}))
	for _, test := range []struct {
		vendor, chunkType uint16
		want              string
		found             bool
	}{
		{3, 0x65, "two", true},
		{0, 0x65, "generic", true},
		{0, 0x66, "", true},
		{4, 0x65, "", false},
	} {
		if got, found := p.Chunk(test.vendor, test.chunkType); string(got) != test.want || found != test.found {
			t.Errorf("%#x:%#x: got %q, %v", test.vendor, test.chunkType, got, found)
		}
	}
}

func TestTime(t *testing.T) {
	p := decode(t, packetOf(t, "0000 000a 000a 000f4240"))
	if !p.Time.IsZero() {
		t.Errorf("microseconds alone: got %v", p.Time)
	}
	p = decode(t, packetOf(t, "0000 0009 000a ffffffff 0000 000a 000a 000f4240"))
	if want := time.Unix(1<<32, 0); !p.Time.Equal(want) {
		t.Errorf("got %v, want %v", p.Time, want)
	}
}
