package xmlrpc

import (
	"sync"

	"github.com/evid/evid"
)

// Buffers are what a lane needs while it delivers.
type buffers struct {
	task    evid.Task // that delivers; nil: a goroutine does
	body    []byte    // of the request: how long it is stands before it
	request []byte
	reply   replyReader
}

// mayBlock is called before what may block.
func (b *buffers) mayBlock() {
	if b.task != nil {
		b.task.Own()
	}
}

// What one large event or reply needed is not kept. A full multicall is no such.
const (
	firstBuffer    = 1 << 10 // bytes, of each
	maxKeptRequest = maxMulticallBody + 32<<10
	maxKeptReply   = 64 << 10
)

// A bufferPool holds the buffers that no lane needs just now.
type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) get() *buffers {
	if b, ok := p.pool.Get().(*buffers); ok {
		return b
	}
	return &buffers{body: make([]byte, 0, firstBuffer), request: make([]byte, 0, firstBuffer)}
}

func (p *bufferPool) put(b *buffers) {
	b.task = nil
	if max(cap(b.body), cap(b.request)) <= maxKeptRequest && cap(b.reply.buf) <= maxKeptReply {
		p.pool.Put(b)
	}
}
