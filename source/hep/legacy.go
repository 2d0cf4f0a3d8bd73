package hep

import (
	"encoding/binary"
	"fmt"
)

// The header of versions 1 and 2:
//
//	octet  0  version
//	       1  length of header and addresses; some add the 12 octets of version 2
//	       2  IP family
//	       3  IP protocol
//	       4  source port
//	       6  destination port
//	       8  source address, then destination address: 4 or 16 octets each
//
// Version 2 goes on, in the byte order of the sender's machine, which is little-endian
// nearly everywhere by now: seconds and microseconds, 4 octets each; the capture agent's
// id, 2 octets; 2 that mean nothing. The rest is the payload, which is SIP.
const (
	oldHeaderSize = 8
	oldTimeSize   = 12
)

// convert returns the chunks that a packet of version 1 or 2 would have in version 3.
func convert(data []byte) ([]byte, error) {
	if len(data) < oldHeaderSize {
		return nil, fmt.Errorf("expected a header of at least %d octets, got %d", oldHeaderSize, len(data))
	}
	source, destination := uint16(chunkSource4), uint16(chunkDestination4)
	addrSize := 4
	if data[2] != familyIPv4 {
		source, destination = chunkSource6, chunkDestination6
		addrSize = 16
	}
	size := oldHeaderSize + 2*addrSize
	said := int(data[1])
	if said != size && (data[0] == 1 || said != size+oldTimeSize) {
		return nil, fmt.Errorf("octet 1: expected a header of %d octets with IP family %d, got %d", size, data[2], said)
	}
	timeAt := size
	if data[0] == 2 {
		size += oldTimeSize
	}
	switch {
	case len(data) < size:
		return nil, fmt.Errorf("expected a header of %d octets, got %d", size, len(data))
	case len(data) > MaxPacket:
		return nil, fmt.Errorf("expected at most %d octets, got %d", MaxPacket, len(data))
	}

	chunks := make([]byte, 0, len(data)+12*chunkHeaderSize)
	chunks = appendChunk(chunks, chunkFamily, data[2])
	chunks = appendChunk(chunks, chunkProtocol, data[3])
	chunks = appendChunk(chunks, source, data[oldHeaderSize:oldHeaderSize+addrSize]...)
	chunks = appendChunk(chunks, destination, data[oldHeaderSize+addrSize:timeAt]...)
	chunks = appendChunk(chunks, chunkSourcePort, data[4:6]...)
	chunks = appendChunk(chunks, chunkDestinationPort, data[6:8]...)
	if data[0] == 2 {
		chunks = appendChunk(chunks, chunkSeconds, swapped(data[timeAt:timeAt+4])...)
		chunks = appendChunk(chunks, chunkMicros, swapped(data[timeAt+4:timeAt+8])...)
		chunks = appendChunk(chunks, chunkAgent, 0, 0, data[timeAt+9], data[timeAt+8])
	}
	chunks = appendChunk(chunks, chunkProtoType, SIP)
	return appendChunk(chunks, chunkPayload, data[size:]...), nil
}

// swapped returns four octets in network byte order.
func swapped(little []byte) []byte {
	return binary.BigEndian.AppendUint32(nil, binary.LittleEndian.Uint32(little))
}
