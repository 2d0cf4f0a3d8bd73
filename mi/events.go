package mi

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/evid/evid"
)

const defaultExpire = time.Hour // of event_subscribe

// A StatusReader knows how the subscriber of an event with this [evid.Socket.Key]
// is doing; false: there is none.
type StatusReader interface {
	Status(event, key string) (evid.Status, bool)
}

// EventCommands returns the commands of the Event Interface. What subscribers_list
// tells with verbose it reads from status.
func EventCommands(i *evid.Interface, status StatusReader) []Command {
	e := events{i, status}
	return []Command{
		{
			Name: "event_subscribe", Alias: "evi:subscribe",
			Help:   "subscribes a socket to an event for expire seconds (3600) or \"never\" to expire; 0 unsubscribes it",
			Params: [][]string{{"event", "socket"}, {"event", "socket", "expire"}},
			Run:    e.subscribe,
		},
		{
			Name: "event_unsubscribe", Alias: "evi:unsubscribe",
			Help:   "unsubscribes a socket from an event; what waits for it is discarded",
			Params: [][]string{{"event", "socket"}},
			Run:    e.unsubscribe,
		},
		{
			Name: "event_register", Alias: "evi:register",
			Help:   "registers an event, so that it can be raised and subscribed to",
			Params: [][]string{{"event"}},
			Run:    e.register,
		},
		{
			Name: "events_list", Alias: "evi:list",
			Help:   "lists the registered events",
			Params: [][]string{{}},
			Run:    e.list,
		},
		{
			Name: "subscribers_list", Alias: "evi:subscribers",
			Help:   "lists all subscribers, those of one event, or one of them; with verbose=1 how each is doing",
			Params: [][]string{{}, {"event"}, {"event", "socket"}, {"verbose"}, {"event", "verbose"}, {"event", "socket", "verbose"}},
			Run:    e.subscribers,
		},
		{
			Name: "raise_event", Alias: "evi:raise",
			Help:   "raises an event; params is an array of values, or an object if they have names",
			Params: [][]string{{"event"}, {"event", "params"}},
			Run:    e.raise,
		},
	}
}

type events struct {
	i      *evid.Interface
	status StatusReader
}

func (e events) subscribe(ctx context.Context, a Args) (any, error) {
	expire, err := expiry(a)
	switch {
	case err != nil:
		return nil, err
	case expire == 0:
		return e.unsubscribe(ctx, a)
	}
	return e.change(a, func(event, socket string) error { return e.i.Subscribe(event, socket, expire) })
}

// expiry returns the parameter expire: seconds, or "never", which the script of
// OpenSIPS can have and its MI cannot.
func expiry(a Args) (time.Duration, error) {
	if !a.Has("expire") {
		return defaultExpire, nil
	}
	if text, err := a.Text("expire"); err == nil && text == "never" {
		return evid.Never, nil
	}
	seconds, err := a.Int("expire")
	if err != nil {
		return 0, err
	}
	if seconds < 0 {
		return 0, invalidParams("Negative expire value")
	}
	if text, err := a.Text("expire"); seconds == 0 && err == nil && strings.ContainsAny(text, "123456789") {
		return 0, invalidParams("Expire value below a second: expected 0 or more than that") // 0 would unsubscribe
	}
	return time.Duration(seconds) * time.Second, nil
}

func (e events) unsubscribe(_ context.Context, a Args) (any, error) {
	return e.change(a, e.i.Unsubscribe)
}

// change makes a change to a subscription.
func (e events) change(a Args, change func(event, socket string) error) (any, error) {
	event, err := nonEmpty(a, "event")
	if err != nil {
		return nil, err
	}
	socket, err := nonEmpty(a, "socket")
	if err != nil {
		return nil, err
	}
	if err := change(event, socket); err != nil {
		return nil, e.badValue(event, err)
	}
	return "OK", nil
}

func (e events) register(_ context.Context, a Args) (any, error) {
	event, err := nonEmpty(a, "event")
	if err != nil {
		return nil, err
	}
	if err := e.i.Register(event); err != nil {
		return nil, e.badValue(event, err)
	}
	return "OK", nil
}

// nonEmpty returns a text that cannot be empty.
func nonEmpty(a Args, name string) (string, error) {
	text, err := a.Text(name)
	if err == nil && text == "" {
		err = badType(name)
	}
	return text, err
}

// badValue is the error for an event or socket that cannot be; other errors stay
// as they are.
func (e events) badValue(event string, err error) error {
	var socket *evid.SocketError
	switch {
	case errors.Is(err, evid.ErrNotRegistered):
		return &Error{400, "Bad parameter value", e.unknownEvent(event)}
	case errors.Is(err, evid.ErrEventName), errors.As(err, &socket):
		return &Error{400, "Bad parameter value", reason(err)}
	default:
		return err
	}
}

// reason is an error of the Event Interface without its first words, which say
// what was asked for: the client knows that.
func reason(err error) string {
	if inner := errors.Unwrap(err); inner != nil {
		return inner.Error()
	}
	return err.Error()
}

// unknownEvent says that an event is not registered and which ones come near.
func (e events) unknownEvent(event string) string {
	var names []string
	for _, known := range e.i.Events() {
		names = append(names, known.Name)
	}
	return unknown("event", event, "events_list", names)
}

func (e events) raise(ctx context.Context, a Args) (any, error) {
	event, err := a.Text("event")
	if err != nil {
		return nil, err
	}
	var params []evid.Param
	if sent, has := a.Value("params"); has {
		if params, err = eventParams(sent); err != nil {
			return nil, err
		}
	}
	_, err = e.i.Raise(ctx, event, params...)
	switch {
	case err == nil:
		return "OK", nil
	case errors.Is(err, evid.ErrNotRegistered):
		return nil, &Error{404, "Event not registered", e.unknownEvent(event)}
	case errors.Is(err, evid.ErrEventName):
		return nil, &Error{404, "Event not registered", reason(err)}
	case errors.Is(err, evid.ErrNoSubscribers):
		return nil, &Error{480, "Temporarily Unavailable", reason(err)}
	case errors.Is(err, evid.ErrTooLarge):
		return nil, &Error{400, "Bad Params", reason(err)}
	default:
		return nil, &Error{500, "Cannot Raise Event", reason(err)}
	}
}

type eventItem struct {
	Name string `json:"name"`
	ID   int    `json:"id"`
}

func (e events) list(context.Context, Args) (any, error) {
	items := []eventItem{}
	for _, event := range e.i.Events() {
		items = append(items, eventItem(event))
	}
	return struct{ Events []eventItem }{items}, nil
}
