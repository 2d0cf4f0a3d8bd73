// Package mitest has an Event Interface for tests of MI: a real one, over a
// keeper and transports that deliver nothing.
package mitest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/evid/evid"
)

// Keeper records what is raised while somebody is subscribed, and says of each
// subscriber what it was told to.
type Keeper struct {
	Err      error                  // what Accept answers if somebody is subscribed
	Statuses map[string]evid.Status // by socket key: what Status answers for those subscribed

	mu     sync.Mutex
	open   map[string]map[string]bool // subscriber keys by event
	events []*evid.Event
	seq    uint64
}

// New returns an Interface with the transports "udp:host:port" and
// "xmlrpc:host:port:method", and its keeper.
func New(autoRegister bool) (*evid.Interface, *Keeper) {
	keeper := &Keeper{open: make(map[string]map[string]bool)}
	return evid.New(evid.Options{
		Keeper:       keeper,
		Transports:   []evid.Transport{transport{"udp", 2}, transport{"xmlrpc", 3}},
		AutoRegister: autoRegister,
	}), keeper
}

// Last returns the parameters of the event that was accepted last.
func (k *Keeper) Last() []evid.Param {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.events) == 0 {
		return nil
	}
	return k.events[len(k.events)-1].Params
}

// Accept implements [evid.Keeper].
func (k *Keeper) Accept(_ context.Context, e *evid.Event) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.open[e.Name]) == 0 || k.Err != nil {
		return false, k.Err
	}
	k.seq++
	e.ID = evid.ID{Epoch: 1, Seq: k.seq}
	k.events = append(k.events[:0], e)
	return true, nil
}

// OpenSub implements [evid.Keeper].
func (k *Keeper) OpenSub(s *evid.Subscription) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.open[s.Event] == nil {
		k.open[s.Event] = make(map[string]bool)
	}
	k.open[s.Event][s.Socket.Key()] = true
	return nil
}

// CloseSub implements [evid.Keeper].
func (k *Keeper) CloseSub(event, key string, _ evid.Close) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.open[event], key)
	return nil
}

// Status says how a subscriber is doing. One without an entry in Statuses is up.
func (k *Keeper) Status(event, key string) (evid.Status, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.Statuses[key], k.open[event][key]
}

type transport struct {
	scheme string
	fields int // of a socket, between colons
}

type socket string

func (s socket) Key() string    { return string(s) }
func (s socket) String() string { return string(s) }

func (t transport) Scheme() string { return t.scheme }

func (t transport) Parse(addr string) (evid.Socket, error) {
	fields := strings.Split(addr, ":")
	if len(fields) != t.fields || fields[0] == "" {
		return nil, fmt.Errorf("expected %d fields, got %q", t.fields, addr)
	}
	if _, err := strconv.Atoi(fields[1]); err != nil {
		return nil, fmt.Errorf("expected a port, got %q", fields[1])
	}
	return socket(t.scheme + ":" + addr), nil
}

func (t transport) Lane(s evid.Socket) string  { return s.Key() }
func (t transport) Open(evid.Socket) evid.Lane { return nil }
