package evid

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What the methods of [Interface] wrap in their errors.
var (
	ErrNotRegistered = errors.New("the event is not registered")
	ErrNoSubscribers = errors.New("nobody is subscribed")
	ErrEventName     = errors.New("expected a name of 1 to 64 bytes without blanks, control characters and ';'")
	ErrTooLarge      = errors.New("the event is larger than 512 KiB")
	ErrTooManyHops   = errors.New("more than 16 events led to one another")
	ErrTooManyEvents = errors.New("65536 events are registered")
	ErrExpire        = errors.New("expected an expiry above 0")
	ErrQueueFull     = errors.New("the queue is full: a subscriber is too far behind")
	ErrClosed        = errors.New("the event interface is closed")
)

// A SocketError says why a socket cannot be subscribed.
type SocketError struct {
	Socket string
	Err    error
}

func (e *SocketError) Error() string { return fmt.Sprintf("parse socket %q: %v", e.Socket, e.Err) }

// Unwrap returns what is wrong with the socket.
func (e *SocketError) Unwrap() error { return e.Err }

// maxEvents bounds what auto_register can be made to register.
const maxEvents = 65536

// Options configure an [Interface].
type Options struct {
	Keeper       Keeper
	Transports   []Transport // at most one for each scheme
	AutoRegister bool        // raising or subscribing registers an unknown event
}

// An Interface is the Event Interface: it knows the registered events and who
// subscribed to them, and hands what is raised to its [Keeper]. Its methods may
// be called from several goroutines at once. [New] makes one.
type Interface struct {
	keeper       Keeper
	transports   []Transport
	autoRegister bool
	raised       atomic.Uint64

	closed atomic.Bool

	names   sync.Map   // of the registered [EventInfo], by name
	namesMu sync.Mutex // guards events, and adding to names
	events  []EventInfo

	// Locks are taken in this order: subscribers.changing, of one event only, and then
	// subsMu, which nobody holds while the keeper works.
	subsMu   sync.Mutex              // guards the subscriptions
	subs     map[string]*subscribers // by event; one that was subscribed to once stays
	expiries expiries
	dismiss  func(*Subscription) error // dismissSub, made once for all subscriptions
}

// subscribers are the subscriptions to one event.
type subscribers struct {
	// Held while the keeper opens or closes one of them, which can take as long as a
	// disk does: those of one event change one after the other.
	changing sync.Mutex

	// Guarded by subsMu, and changed with changing held as well: who holds that may
	// read them.
	byKey map[string]*subscriber
	byAge []*subscriber // oldest first

	// Guarded by subsMu.
	due    []*subscriber // their time was up when they got here
	ending bool          // somebody ends those, or is about to
}

// There can be very many subscribers.
type subscriber struct {
	*Subscription
	place  int32 // among the expiries, or noExpiry
	unsure bool  // a renewal failed: the keeper may have that one; guarded by changing
	old    bool  // restored, and nobody has asked for it since; guarded by changing
}

// New returns an Interface with no events and no subscribers.
func New(opts Options) *Interface {
	i := &Interface{
		keeper:       opts.Keeper,
		transports:   opts.Transports,
		autoRegister: opts.AutoRegister,
		subs:         make(map[string]*subscribers),
	}
	i.dismiss = i.dismissSub
	return i
}

// Register makes an event name known, which OpenSIPS calls to publish it.
// Registering a name again is no error.
func (i *Interface) Register(event string) error {
	if _, err := i.register(event); err != nil {
		return fmt.Errorf("register event %q: %w", event, err)
	}
	return nil
}

// register returns the event that is registered.
func (i *Interface) register(event string) (EventInfo, error) {
	if err := CheckEventName(event); err != nil {
		return EventInfo{}, err
	}
	i.namesMu.Lock()
	defer i.namesMu.Unlock()
	if info, known := i.Event(event); known {
		return info, nil
	}
	if len(i.events) == maxEvents {
		return EventInfo{}, ErrTooManyEvents
	}
	info := EventInfo{Name: strings.Clone(event), ID: len(i.events)} // it may be part of a larger request
	i.names.Store(info.Name, info)
	i.events = append(i.events, info)
	return info, nil
}

// CheckEventName says whether an event can have this name: 1 to [MaxEventName]
// bytes without blanks, control characters and ';'. It returns nil or
// [ErrEventName].
func CheckEventName(event string) error {
	if event == "" || len(event) > MaxEventName ||
		strings.ContainsFunc(event, func(r rune) bool { return r <= ' ' || r == 0x7f || r == ';' }) {
		return ErrEventName
	}
	return nil
}

// ensureRegistered returns a registered event. It registers an unknown one if that
// is done automatically, else it is an error.
func (i *Interface) ensureRegistered(event string) (EventInfo, error) {
	info, known := i.Event(event)
	switch {
	case known:
		return info, nil
	case i.autoRegister:
		return i.register(event)
	default:
		return EventInfo{}, ErrNotRegistered
	}
}

// Events lists the registered events in order of registration.
func (i *Interface) Events() []EventInfo {
	i.namesMu.Lock()
	defer i.namesMu.Unlock()
	return slices.Clone(i.events)
}

// Event returns one registered event.
func (i *Interface) Event(name string) (EventInfo, bool) {
	found, known := i.names.Load(name)
	if !known {
		return EventInfo{}, false
	}
	return found.(EventInfo), true
}

// ParseSocket reads a socket with the transport of its scheme. The error is a
// [*SocketError].
func (i *Interface) ParseSocket(socket string) (Socket, error) {
	_, s, err := i.parseSocket(socket)
	return s, err
}

func (i *Interface) parseSocket(socket string) (Transport, Socket, error) {
	var schemes []string
	scheme, addr, _ := strings.Cut(socket, ":")
	for _, t := range i.transports {
		if t.Scheme() != scheme {
			schemes = append(schemes, t.Scheme()+":")
			continue
		}
		s, err := t.Parse(addr)
		if err != nil {
			return nil, nil, &SocketError{socket, err}
		}
		return t, s, nil
	}
	if schemes == nil {
		return nil, nil, &SocketError{socket, fmt.Errorf("unknown transport %q: there are none", scheme)}
	}
	return nil, nil, &SocketError{socket, fmt.Errorf("unknown transport %q: expected a socket that starts with %s",
		scheme, strings.Join(schemes, " or "))}
}

// Subscribe asks for the events raised from now on under this name to be
// delivered to the socket, until expire has passed; [Never] is for good.
// Subscribing a subscriber again (the same event and the same [Socket.Key])
// renews its expiry and replaces its options, also for what still waits.
//
// The socket is checked, its host is not resolved. The error wraps
// [ErrNotRegistered], a [*SocketError] or [ErrExpire], or comes from the Keeper. After
// that who was not subscribed is not; who was stays so and expires as before.
func (i *Interface) Subscribe(event, socket string, expire time.Duration) error {
	if err := i.subscribe(event, socket, expire, false); err != nil {
		return fmt.Errorf("subscribe to %q: %w", event, err)
	}
	return nil
}

// SubscribeFromScript is [Interface.Subscribe] for the script: its subscriptions are
// what the configuration says, and not a wish of the subscriber. One that answers that
// it is gone stays subscribed. After a restart one that does not expire is there only
// until [Interface.EndOldScript], unless the script subscribes it again.
//
// Who subscribes last decides: with Subscribe the same subscriber has that expiry, and
// is no longer the script's.
func (i *Interface) SubscribeFromScript(event, socket string, expire time.Duration) error {
	if err := i.subscribe(event, socket, expire, true); err != nil {
		return fmt.Errorf("subscribe to %q from the script: %w", event, err)
	}
	return nil
}

func (i *Interface) subscribe(event, socket string, expire time.Duration, script bool) error {
	transport, sock, err := i.parseSocket(socket)
	if err != nil {
		return err
	}
	if expire <= 0 {
		return ErrExpire
	}
	info, err := i.ensureRegistered(event)
	if err != nil {
		return err
	}
	subs := i.change(info.Name)
	defer subs.changing.Unlock()
	if i.closed.Load() {
		return ErrClosed
	}
	sub := i.newSubscription(info.Name, transport, sock, expire)
	sub.Script = script
	return i.openLocked(subs, sub)
}

// newSubscription returns a subscription that begins now.
func (i *Interface) newSubscription(event string, transport Transport, socket Socket, expire time.Duration) *Subscription {
	sub := &Subscription{
		Event: event, Socket: socket, Transport: transport, Sync: PolicyOf(socket).Sync,
		Expire: expire, dismiss: i.dismiss,
	}
	if expire != Never {
		sub.Expires = time.Now().Add(expire)
	}
	return sub
}

// change returns the subscribers of an event with changing held.
func (i *Interface) change(event string) *subscribers {
	i.subsMu.Lock()
	subs := i.subs[event]
	if subs == nil {
		subs = new(subscribers)
		i.subs[event] = subs
	}
	i.subsMu.Unlock()
	subs.changing.Lock()
	return subs
}

// wait waits for the change that is under way.
func (s *subscribers) wait() {
	s.changing.Lock()
	defer s.changing.Unlock()
}

// openLocked adds or renews a subscription; it is subs.changing that is held.
func (i *Interface) openLocked(subs *subscribers, sub *Subscription) error {
	if err := i.keeper.OpenSub(sub); err != nil {
		if s := subs.byKey[sub.Socket.Key()]; s != nil {
			s.unsure, s.old = true, false
		}
		return err
	}
	i.subsMu.Lock()
	defer i.subsMu.Unlock()
	i.addLocked(subs, sub)
	i.expiries.armLocked(i.expire)
	return nil
}

// addLocked adds or renews a subscription that the keeper has opened. subs.changing is
// held as well.
func (i *Interface) addLocked(subs *subscribers, sub *Subscription) {
	if subs.byKey == nil {
		subs.byKey = make(map[string]*subscriber)
	}
	key := sub.Socket.Key()
	s := subs.byKey[key]
	if s == nil {
		s = &subscriber{place: noExpiry}
		subs.byKey[key] = s
		subs.byAge = append(subs.byAge, s)
	}
	i.expiries.removeLocked(s) // by its old time
	s.Subscription, s.unsure, s.old = sub, false, false
	i.expiries.addLocked(s)
}

// closeLocked ends s; it is subs.changing that is held. After an error s is gone as
// well, and it could not be saved that it is.
func (i *Interface) closeLocked(subs *subscribers, s *subscriber, why Close) error {
	err := i.keeper.CloseSub(s.Event, s.Socket.Key(), why)
	i.subsMu.Lock()
	defer i.subsMu.Unlock()
	i.expiries.removeLocked(s)
	delete(subs.byKey, s.Socket.Key())
	at := slices.Index(subs.byAge, s)
	subs.byAge = slices.Delete(subs.byAge, at, at+1)
	if len(subs.byAge) == 0 {
		subs.byKey, subs.byAge = nil, nil // they may have been many
	}
	return err
}

// Unsubscribe ends a subscription at once; what still waits for it is
// discarded. Unsubscribing what is not subscribed is no error. An error of the
// Keeper says that the subscription has ended, but comes back if the process ends
// before that can be saved.
//
// A socket that no transport reads any more is named by its text: as lists print it, or,
// if it could not be restored, as the [RestoreError] has it.
func (i *Interface) Unsubscribe(event, socket string) error {
	if err := i.unsubscribe(event, socket); err != nil {
		return fmt.Errorf("unsubscribe from %q: %w", event, err)
	}
	return nil
}

func (i *Interface) unsubscribe(event, socket string) error {
	_, sock, err := i.parseSocket(socket)
	info, known := i.Event(event)
	if err == nil && !known {
		err = ErrNotRegistered
	}
	if err != nil {
		if found, endErr := i.endByText(event, socket); found {
			return endErr
		}
		return err
	}
	subs := i.change(info.Name)
	defer subs.changing.Unlock()
	if s := subs.byKey[sock.Key()]; s != nil {
		return i.closeLocked(subs, s, Unsubscribed)
	}
	return i.keeper.CloseSub(info.Name, sock.Key(), Unsubscribed) // what waits for one that has expired
}

// dismissSub implements [Subscription.Dismiss].
func (i *Interface) dismissSub(sub *Subscription) error {
	subs := i.change(sub.Event)
	defer subs.changing.Unlock()
	s := subs.byKey[sub.Socket.Key()]
	switch {
	case sub.Script, s != nil && s.Script:
		return nil
	case s == nil:
		return i.keeper.CloseSub(sub.Event, sub.Socket.Key(), Dismissed)
	case s.Subscription != sub && !s.unsure:
		return nil
	default:
		return i.closeLocked(subs, s, Dismissed)
	}
}

// Subscribers lists who is subscribed to an event, the newest first as OpenSIPS
// lists them.
func (i *Interface) Subscribers(event string) []Subscriber {
	i.subsMu.Lock()
	defer i.subsMu.Unlock()
	subs := i.subs[event]
	if subs == nil || len(subs.byAge) == 0 {
		return nil
	}
	list := make([]Subscriber, 0, len(subs.byAge))
	for _, s := range slices.Backward(subs.byAge) {
		ttl := Never
		if s.Expire != Never {
			ttl = max(0, time.Until(s.Expires))
		}
		list = append(list, Subscriber{Event: s.Event, Socket: s.Socket, Expire: s.Expire, TTL: ttl, Script: s.Script})
	}
	return list
}

// SubscriberCount returns how many subscriptions there are.
func (i *Interface) SubscriberCount() int {
	i.subsMu.Lock()
	defer i.subsMu.Unlock()
	n := 0
	for _, subs := range i.subs {
		n += len(subs.byAge)
	}
	return n
}

// Raise raises an event: it is kept for all who are subscribed to it, and Raise
// returns its ID. It does not wait for any subscriber, but for those whose
// socket asks for it (modparam sync_mode): at each of them it waits for one
// attempt, which is made now; if something waits before it there, Raise fails at
// once and nobody gets the event. If such an attempt fails, so does Raise, though
// the others get the event: the ID is then not zero.
//
// The error wraps [ErrNotRegistered], [ErrNoSubscribers], [ErrTooLarge],
// [ErrTooManyHops] or [ErrClosed], or comes from the Keeper. Raise copies params.
func (i *Interface) Raise(ctx context.Context, event string, params ...Param) (ID, error) {
	e := &Event{Name: event, Params: slices.Clone(params), Hops: hops(ctx)}
	_, err := i.ensureRegistered(event)
	if err == nil && i.closed.Load() {
		err = ErrClosed
	}
	if err == nil && e.Hops > MaxHops {
		err = ErrTooManyHops
	}
	if err == nil && e.Size() > MaxEventSize {
		err = ErrTooLarge
	}
	if err != nil {
		return ID{}, fmt.Errorf("raise event %q: %w", event, err)
	}
	i.raised.Add(1)
	kept, err := i.keeper.Accept(ctx, e)
	if err == nil && !kept {
		err = ErrNoSubscribers
	}
	if err != nil {
		err = fmt.Errorf("raise event %q: %w", event, err)
	}
	if !kept {
		return ID{}, err
	}
	return e.ID, err
}

// Raised counts the events that were raised under a registered name, also those
// that nobody was subscribed to.
func (i *Interface) Raised() uint64 { return i.raised.Load() }

// Close makes subscribing and raising an error, and ends expiry. It waits until the
// Keeper has opened and closed what it was about to. What the Keeper has stays there,
// and can still be unsubscribed or dismissed.
func (i *Interface) Close() {
	i.subsMu.Lock()
	i.closed.Store(true)
	all := slices.Collect(maps.Values(i.subs))
	i.subsMu.Unlock()
	i.expiries.enders.Wait()
	for _, subs := range all {
		subs.wait()
	}
	i.subsMu.Lock()
	defer i.subsMu.Unlock()
	i.expiries.stopLocked()
}

type causeKey struct{}

// CausedBy returns a context for raising events because of e, such as in a
// transport that e was delivered to. Events raised with it have one hop more
// than e: events that raise each other in a circle end at [MaxHops]. Without an e it
// returns ctx.
func CausedBy(ctx context.Context, e *Event) context.Context {
	if e == nil {
		return ctx
	}
	return context.WithValue(ctx, causeKey{}, e)
}

// Cause returns the event that a context is [CausedBy]; nil: none.
func Cause(ctx context.Context) *Event {
	cause, _ := ctx.Value(causeKey{}).(*Event)
	return cause
}

func hops(ctx context.Context) uint8 {
	if cause := Cause(ctx); cause != nil {
		return cause.Hops + 1
	}
	return 0
}
