package xmlrpc

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/evid/evid"
)

// heap returns the bytes that are in use.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// There can be very many subscribers that are idle, each at a server of its own.
func TestIdleMemory(t *testing.T) {
	const n = 10_000
	transport := newTransports(t, nil).Schemes()[0]
	sockets, lanes := make([]evid.Socket, n), make([]evid.Lane, n)
	before := heap()
	for i := range sockets {
		s, err := transport.Parse(fmt.Sprintf("198.51.100.%d:%d:block_ip", i%250, 10_000+i))
		if err != nil {
			t.Fatal(err)
		}
		sockets[i] = s
	}
	parsed := heap()
	for i := range lanes {
		lanes[i] = transport.Open(sockets[i])
	}
	opened := heap()
	perSocket, perLane := (parsed-before)/n, (opened-parsed)/n
	t.Logf("%d bytes for each socket, %d for each lane", perSocket, perLane)
	if perSocket > 100 || perLane > 200 {
		t.Errorf("a socket takes %d bytes, want at most 100; a lane %d, want at most 200", perSocket, perLane)
	}
	for _, l := range lanes {
		l.Close()
	}
	runtime.KeepAlive(sockets)
}
