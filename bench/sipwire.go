package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/evid/evid/source/hep/heptest"
)

// A numbered message is the same each time but for a number and, in HEP, the address that it
// was captured from: to make the next one takes a sender next to nothing.
type numbered struct {
	data    []byte
	numbers [][]byte // where the number stands, in data
	address []byte   // where the address stands; nil: nowhere
}

// optionsRequest is a request as a scanner sends it.
const optionsRequest = "OPTIONS sip:100@192.0.2.1 SIP/2.0\r\n" +
	"Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK-" + numberMark + ";rport\r\n" +
	"Max-Forwards: 70\r\n" +
	"Contact: <sip:100@198.51.100.7:5060>\r\n" +
	"To: \"sipvicious\" <sip:100@1.1.1.1>\r\n" +
	"From: \"sipvicious\" <sip:100@1.1.1.1>;tag=6434396633623535\r\n" +
	"Call-ID: " + numberMark + "@198.51.100.7\r\n" +
	"CSeq: 1 OPTIONS\r\n" +
	"User-Agent: friendly-scanner\r\n" +
	"Accept: application/sdp\r\n" +
	"Content-Length: 0\r\n\r\n"

const numberMark = "0123456789abcdef"

// newRequest returns a SIP request.
func newRequest() *numbered { return newNumbered([]byte(optionsRequest)) }

// newPacket returns a HEP packet that carries the request.
func newPacket() *numbered {
	source := netip.MustParseAddrPort("203.0.113.99:5060")
	m := newNumbered(heptest.AppendPacket(nil, heptest.Packet{
		Source: source, Destination: netip.MustParseAddrPort("192.0.2.1:5060"),
		Protocol: 17, Type: 1, Agent: 2001, Time: time.Unix(1_700_000_000, 0), Payload: []byte(optionsRequest),
	}))
	at := bytes.Index(m.data, source.Addr().AsSlice())
	m.address = m.data[at : at+4]
	return m
}

// newNumbered returns a message whose number stands where numberMark does.
func newNumbered(data []byte) *numbered {
	m := &numbered{data: data}
	for rest := data; ; {
		at := bytes.Index(rest, []byte(numberMark))
		if at < 0 {
			return m
		}
		m.numbers = append(m.numbers, rest[at:at+len(numberMark)])
		rest = rest[at+len(numberMark):]
	}
}

// set gives the message another number.
func (m *numbered) set(n uint64) {
	const digits = "0123456789abcdef"
	for _, number := range m.numbers {
		for i := range number {
			number[i] = digits[n>>(60-4*i)&15]
		}
	}
}

// from gives the packet another address that it was captured from.
func (m *numbered) from(addr uint32) { binary.BigEndian.PutUint32(m.address, addr) }

// A udpState is what the kernel says about a UDP socket over IPv4.
type udpState struct {
	waiting int    // octets of memory that is taken by what nobody has read
	dropped uint64 // packets that it had no room for
}

// udpSocket finds the socket that is bound to an address; found is false if there is none.
// It costs the process nothing that has the socket.
func udpSocket(addr netip.AddrPort) (state udpState, found bool, err error) {
	text, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		return state, false, fmt.Errorf("read state of UDP sockets: %w", err)
	}
	// The address is written as a number of the machine's byte order.
	local := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(addr.Addr().AsSlice()), addr.Port())
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 13 || fields[1] != local {
			continue
		}
		_, waiting, _ := strings.Cut(fields[4], ":")
		octets, errWaiting := strconv.ParseInt(waiting, 16, 64)
		dropped, errDropped := strconv.ParseUint(fields[len(fields)-1], 10, 64)
		if errWaiting != nil || errDropped != nil {
			return state, false, fmt.Errorf("read state of UDP sockets: unexpected line %q", line)
		}
		return udpState{int(octets), dropped}, true, nil
	}
	return state, false, nil
}

// cpuTimeOf is what another process has used of the processors.
func cpuTimeOf(pid int) (time.Duration, error) {
	var now unix.Timespec
	// The clock of a process, as clock_getcpuclockid(3) has it.
	const scheduled = 2
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &now); err != nil {
		return 0, fmt.Errorf("get processor time of process %d: %w", pid, err)
	}
	return time.Duration(now.Nano()), nil
}
