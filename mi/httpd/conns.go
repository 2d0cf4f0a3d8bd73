package httpd

import (
	"context"
	"net"
	"net/http"
	"sync"
)

const maxConnections = 256

// connections are the open connections of a server.
type connections struct {
	mu       sync.Mutex
	busy     map[net.Conn]bool // all that are open: whether a request is being executed
	stopping bool
	open     sync.WaitGroup
}

func newConnections() *connections { return &connections{busy: make(map[net.Conn]bool)} }

type connKey struct{}

// remember is the ConnContext of [http.Server]: with it, begin finds the
// connection of a request.
func (c *connections) remember(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// changed is the ConnState of [http.Server].
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.open.Add(1)
		c.busy[conn] = false
		if c.stopping || len(c.busy) > maxConnections {
			conn.Close()
		}
	case http.StateIdle:
		c.busy[conn] = false
	case http.StateClosed:
		delete(c.busy, conn)
		c.open.Done()
	}
}

// begin says that the request with this context has come in as a whole. It
// reports whether it may be executed: not once the server stops.
func (c *connections) begin(ctx context.Context) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn, ok := ctx.Value(connKey{}).(net.Conn); ok && !c.stopping {
		c.busy[conn] = true
	}
	return !c.stopping
}

// stop closes the connections on which nothing is being executed. The server
// would otherwise wait for the rest of a request that may never come.
func (c *connections) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	for conn, busy := range c.busy {
		if !busy {
			conn.Close()
		}
	}
}

// wait waits until all connections are closed. New ones come from the one
// goroutine that accepts them, which must have ended.
func (c *connections) wait() { c.open.Wait() }
