package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/delivery"
	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/jetstream"
	"github.com/evid/evid/transport/xmlrpc"
)

// single is the option of a socket that takes one event per call.
const single = ";multicall=0"

// A notifier is evid as a program puts it together.
type notifier struct {
	engine *delivery.Engine
	queue  *queue.Queue
	store  queue.Store // nil: the queue is in memory
	events *evid.Interface
}

// newTransports returns the transports of module event_xmlrpc.
func newTransports() ([]evid.Transport, error) {
	params := xmlrpc.DefaultParams()
	params.UseStructParam = true
	transports, err := xmlrpc.New(params)
	if err != nil {
		return nil, fmt.Errorf("make transports: %w", err)
	}
	return transports.Schemes(), nil
}

// newNotifier returns a notifier whose lists hold maxEvents. With wrap it has the
// transports that wrap makes of the real ones. It is to be closed.
func newNotifier(maxEvents int, wrap func(evid.Transport) evid.Transport) (*notifier, error) {
	schemes, err := newTransports()
	if err != nil {
		return nil, err
	}
	if wrap != nil {
		for i, t := range schemes {
			schemes[i] = wrap(t)
		}
	}
	return assemble(maxEvents, schemes), nil
}

// assemble puts a notifier together that has these transports.
func assemble(maxEvents int, transports []evid.Transport) *notifier {
	params := queue.DefaultParams()
	params.MaxEvents = maxEvents
	params.MaxBytes = 1 << 30
	engine := delivery.New(delivery.Options{Log: errorLog()})
	kept := queue.New(params, engine)
	events := evid.New(evid.Options{Keeper: kept, Transports: transports, AutoRegister: true})
	return &notifier{engine: engine, queue: kept, events: events}
}

func errorLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

// onDisk puts a notifier together whose queue is in a directory, with each entry synced.
func onDisk(dir string, transports []evid.Transport) (*notifier, error) {
	store, err := openStore(dir)
	if err != nil {
		return nil, err
	}
	engine := delivery.New(delivery.Options{Log: errorLog()})
	kept, err := queue.Open(queue.DefaultParams(), engine, store, errorLog())
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	events := evid.New(evid.Options{Keeper: kept, Transports: transports, AutoRegister: true})
	return &notifier{engine: engine, queue: kept, store: store, events: events}, nil
}

func openStore(dir string) (*jetstream.Store, error) {
	params := jetstream.DefaultParams()
	params.Dir = dir
	return jetstream.Open(params, errorLog())
}

func (n *notifier) close() {
	n.events.Close()
	n.engine.Close()
	if n.store != nil {
		n.queue.Close()
		n.store.Close()
	}
}

// A group is subscribers of one event, each on a port of its own.
type group struct {
	Event   string
	Host    string // an IPv4 address
	Port    int    // the first
	Count   int
	Options string // of the sockets: ";name=value"
}

// socket returns the socket of one subscriber of the group.
func (g group) socket(i int) string {
	return fmt.Sprintf("xmlrpc:%s:%d:block_ip%s", g.Host, g.Port+i, g.Options)
}

// subscribe subscribes all of a group.
func (n *notifier) subscribe(g group) error {
	for i := range g.Count {
		if err := n.events.Subscribe(g.Event, g.socket(i), time.Hour); err != nil {
			return err
		}
	}
	return nil
}

// raise raises the event that the reference raises, under another name.
func (n *notifier) raise(event string) error {
	_, err := n.events.Raise(context.Background(), event, evid.String("ip", "192.168.2.11"))
	return err
}

// counts returns what became of the events of a group.
func (n *notifier) counts(g group) (evid.Counts, error) {
	var sum evid.Counts
	for i := range g.Count {
		socket, err := n.events.ParseSocket(g.socket(i))
		if err != nil {
			return sum, err
		}
		counts, ok := n.queue.Counts(g.Event, socket.Key())
		if !ok {
			return sum, fmt.Errorf("count events of %s: it is not subscribed", socket)
		}
		sum.Add(counts)
	}
	return sum, nil
}
