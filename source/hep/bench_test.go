package hep_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/evid/evid/source/hep"
	"github.com/evid/evid/source/hep/heptest"
)

// options is a request as a scanner sends it.
const options = "OPTIONS sip:100@192.0.2.1 SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK-524287-1---f64ab10e5d5aa5f1;rport\r\n" +
	"Max-Forwards: 70\r\n" +
	"Contact: <sip:100@198.51.100.7:5060>\r\n" +
	"To: \"sipvicious\" <sip:100@1.1.1.1>\r\n" +
	"From: \"sipvicious\" <sip:100@1.1.1.1>;tag=6434396633623535\r\n" +
	"Call-ID: 438842356788456784563@198.51.100.7\r\n" +
	"CSeq: 1 OPTIONS\r\n" +
	"User-Agent: friendly-scanner\r\n" +
	"Accept: application/sdp\r\n" +
	"Content-Length: 0\r\n\r\n"

func mirrored() heptest.Packet {
	return heptest.Packet{
		Source:      netip.MustParseAddrPort("198.51.100.7:5060"),
		Destination: netip.MustParseAddrPort("192.0.2.1:5060"),
		Protocol:    17, Type: hep.SIP, Agent: 2001, Time: time.Unix(1_700_000_000, 120_000_000),
		Payload: []byte(options),
	}
}

func BenchmarkDecode(b *testing.B) {
	packet := heptest.AppendPacket(nil, mirrored())
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := hep.Decode(packet); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValue(b *testing.B) {
	p, err := hep.Decode(heptest.AppendPacket(nil, mirrored()))
	if err != nil {
		b.Fatal(err)
	}
	field, err := hep.ParseField("captagent_id")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Value(field)
	}
}
