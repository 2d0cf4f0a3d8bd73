// Package core raises the events that OpenSIPS' core raises, as far as they have a meaning
// here: evid tells of itself. Names, parameters and their order are those of its manual
// (Interface-CoreEvents).
//
//	E_CORE_LOG             time, pid, level, [prefix,] message
//	E_CORE_THRESHOLD       source, time, extra
//	E_CORE_PKG_THRESHOLD   usage, threshold, used, size, pid
//	E_CORE_SHM_THRESHOLD   usage, threshold, used, size
//	E_CORE_TCP_DISCONNECT  src_ip, src_port, dst_ip, dst_port, proto
//
// Who has something to tell never waits: it is queued, and one goroutine raises it. When
// the queue is full, what comes is dropped and counted.
package core

import (
	"context"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/evid/evid"
)

// The names of the events.
const (
	EventLog           = "E_CORE_LOG"
	EventThreshold     = "E_CORE_THRESHOLD"
	EventPkgThreshold  = "E_CORE_PKG_THRESHOLD"
	EventShmThreshold  = "E_CORE_SHM_THRESHOLD"
	EventTCPDisconnect = "E_CORE_TCP_DISCONNECT"
)

// Names returns the names of all core events: they are to be registered.
func Names() []string {
	return []string{EventThreshold, EventShmThreshold, EventPkgThreshold, EventTCPDisconnect, EventLog}
}

// maxQueued is how many events wait to be raised.
const maxQueued = 1024

// A Source raises core events. [New] makes one. Its methods may be called from several
// goroutines at once.
type Source struct {
	params  Params
	raise   func(ctx context.Context, event string, params ...evid.Param) (evid.ID, error)
	queue   chan told
	dropped atomic.Uint64

	cancel context.CancelFunc
	ended  sync.WaitGroup
}

// A told event waits to be raised.
type told struct {
	cause  *evid.Event // nil: none
	event  string
	params []evid.Param
}

// New returns a source whose events go to raise, which is as [evid.Interface.Raise]. It
// begins with [Source.Start].
func New(params Params, raise func(ctx context.Context, event string, params ...evid.Param) (evid.ID, error)) *Source {
	return &Source{params: params, raise: raise, queue: make(chan told, maxQueued)}
}

// Start begins to raise, and to watch the memory.
func (s *Source) Start() {
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	s.ended.Go(func() { s.raiseAll(ctx) })
	if s.params.watchesMemory() {
		s.ended.Go(func() { s.watchMemory(ctx) })
	}
}

// Close ends that. What waits is not raised any more.
func (s *Source) Close() {
	s.cancel()
	s.ended.Wait()
}

// Dropped counts the events that were not raised because too many waited.
func (s *Source) Dropped() uint64 { return s.dropped.Load() }

func (s *Source) raiseAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-s.queue:
			// An error would be logged, and that be an event in turn: nobody is
			// subscribed, the queue is full or evid ends, and each of these is told elsewhere.
			_, _ = s.raise(evid.CausedBy(ctx, t.cause), t.event, t.params...)
		}
	}
}

func (s *Source) tell(event string, params ...evid.Param) { s.tellOf(nil, event, params...) }

// tellOf queues an event that another one has caused.
func (s *Source) tellOf(cause *evid.Event, event string, params ...evid.Param) {
	select {
	case s.queue <- told{cause, event, params}:
	default:
		s.dropped.Add(1)
	}
}

// Took raises E_CORE_THRESHOLD if something took longer than exec_msg_threshold: what, such
// as "event route", how long, and which one of them.
func (s *Source) Took(what string, long time.Duration, which string) {
	if !s.Slow(long) {
		return
	}
	s.tell(EventThreshold,
		evid.String("source", what), evid.Int("time", long.Microseconds()), evid.String("extra", which))
}

// Slow reports whether that is longer than exec_msg_threshold.
func (s *Source) Slow(long time.Duration) bool {
	limit := s.params.ExecMsgThreshold
	return limit > 0 && long > time.Duration(limit)*time.Microsecond
}

// Disconnected raises E_CORE_TCP_DISCONNECT: a connection of this protocol, "tcp" or "tls",
// has ended.
func (s *Source) Disconnected(source, destination netip.AddrPort, proto string) {
	s.tell(EventTCPDisconnect,
		evid.String("src_ip", source.Addr().Unmap().String()), evid.Int("src_port", int64(source.Port())),
		evid.String("dst_ip", destination.Addr().Unmap().String()), evid.Int("dst_port", int64(destination.Port())),
		evid.String("proto", proto))
}

// pid is that of the process.
func pid() evid.Param { return evid.Int("pid", int64(os.Getpid())) }
