package hep

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"testing"
)

// A batch has each packet as it was sent, with its sender, however many wait.
func TestBatch(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			at := net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(host), 0))
			conn, err := net.ListenUDP("udp", at)
			if err != nil {
				give := t.Skipf
				if os.Getenv("CI") == "true" {
					give = t.Fatalf
				}
				give("no IPv6 here: %v", err)
			}
			defer conn.Close()
			b, err := newBatch(conn, 4)
			if err != nil {
				t.Fatal(err)
			}
			sender, err := net.DialUDP("udp", nil, conn.LocalAddr().(*net.UDPAddr))
			if err != nil {
				t.Fatal(err)
			}
			defer sender.Close()
			const packets = 11
			want := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 1+(packets-i)*100) } // each shorter than the one before
			for i := range packets {
				if _, err := sender.Write(want(i)); err != nil {
					t.Fatal(err)
				}
			}
			for got := 0; got < packets; {
				n, err := b.read()
				if err != nil {
					t.Fatal(err)
				}
				for i := range n {
					data, from := b.packet(i)
					if !bytes.Equal(data, want(got)) || from != sender.LocalAddr().(*net.UDPAddr).AddrPort() {
						t.Errorf("packet %d: got %d octets of %d from %s, want %d from %s", got, len(data), data[0], from, len(want(got)), sender.LocalAddr())
					}
					got++
				}
			}
		})
	}
}
