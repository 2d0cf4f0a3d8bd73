package hep_test

import (
	"bytes"
	"testing"

	"github.com/evid/evid/source/hep"
	"github.com/evid/evid/source/hep/heptest"
)

// Whatever comes is decoded or refused within the limits. What was decoded can be read
// chunk by chunk, and says the same when it is made into a packet again.
func FuzzDecode(f *testing.F) {
	f.Add(octets(f, specification))
	f.Add(everything())
	f.Add(compressed(f, []byte(options), toGzip))
	f.Add(compressed(f, []byte(options), toZlib))
	f.Add(octets(f, "01 10 02 11 13c4 13c5 c0000201 c0000202 4142"))
	f.Add(octets(f, "02 10 02 11 13c4 13c5 c0000201 c0000202 cb82494e c0d40100 e400 0000 4142"))
	names := []string{"src_ip", "proto_id", "proto_type", "payload", "0x14", "3:101", "3:101:uint32", "3:101:inet4-addr"}
	fields := make([]hep.Field, len(names))
	for i, name := range names {
		var err error
		if fields[i], err = hep.ParseField(name); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		p, err := hep.Decode(data)
		if !bytes.Equal(data, before) {
			t.Fatal("it was written to what is decoded")
		}
		if err != nil {
			return
		}
		if len(p.Payload) > hep.MaxPayload {
			t.Fatalf("a payload of %d octets", len(p.Payload))
		}
		if p.Type == hep.SIP && (p.Payload == nil || !p.Source.IsValid()) {
			t.Fatalf("SIP without payload or source: %+v", p)
		}
		for _, field := range fields {
			p.Value(field)
		}
		oneFamily := p.Source.IsValid() && p.Destination.IsValid() && p.Source.Addr().Is4() == p.Destination.Addr().Is4()
		if !oneFamily || len(p.Payload) > 60_000 { // heptest cannot make it
			return
		}
		q := decode(t, heptest.AppendPacket(nil, heptest.Packet{
			Source: p.Source, Destination: p.Destination, Protocol: p.Protocol,
			Type: p.Type, Agent: p.Agent, Payload: p.Payload,
		}))
		if p.Source != q.Source || p.Destination != q.Destination || p.Protocol != q.Protocol ||
			p.Type != q.Type || p.Agent != q.Agent || !bytes.Equal(p.Payload, q.Payload) {
			t.Errorf("got %+v, then %+v", p, q)
		}
	})
}
