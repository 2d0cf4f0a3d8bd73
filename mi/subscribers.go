package mi

import (
	"context"
	"fmt"
	"time"

	"github.com/evid/evid"
)

// eventSubscribers is an event in the reply of subscribers_list. All of it is
// left out of an event without subscribers.
type eventSubscribers struct {
	*eventItem
	Subscribers []subscriberItem `json:",omitempty"`
	Subscriber  *subscriberItem  `json:",omitempty"`
}

type subscriberItem struct {
	Socket string `json:"socket"`
	Expire any    `json:"expire"`        // seconds, or "never"
	TTL    *int64 `json:"ttl,omitempty"` // seconds that are left

	*statusItem // with verbose; nil also for one that has just gone
}

// statusItem is how a subscriber is doing.
type statusItem struct {
	State       string  `json:"state"`
	Waiting     uint64  `json:"waiting"`
	Delivered   uint64  `json:"delivered"`
	Failed      uint64  `json:"failed"` // attempts
	LastError   *string `json:"last_error"`
	LastSuccess *string `json:"last_success"`
	NextAttempt *string `json:"next_attempt,omitempty"`
}

func (e events) subscribers(_ context.Context, a Args) (any, error) {
	verbose, err := a.Flag("verbose")
	if err != nil {
		return nil, err
	}
	l := subscribersList{e, verbose}
	if !a.Has("event") {
		return l.all(), nil
	}
	event, err := e.published(a)
	if err != nil {
		return nil, err
	}
	reply := struct{ Event eventSubscribers }{}
	if a.Has("socket") {
		reply.Event, err = l.one(event, a)
	} else {
		reply.Event = l.of(event)
	}
	if err != nil {
		return nil, err
	}
	return reply, nil
}

// published returns the event that the parameter event names.
func (e events) published(a Args) (evid.EventInfo, error) {
	name, err := a.Text("event")
	if err != nil {
		return evid.EventInfo{}, err
	}
	event, known := e.i.Event(name)
	if !known {
		return evid.EventInfo{}, &Error{404, "Event not published", e.unknownEvent(name)}
	}
	return event, nil
}

// A subscribersList makes the reply of subscribers_list.
type subscribersList struct {
	events
	verbose bool
}

func (l subscribersList) all() any {
	list := []eventSubscribers{}
	for _, event := range l.i.Events() {
		if of := l.of(event); of.Subscribers != nil {
			list = append(list, of)
		}
	}
	return struct{ Events []eventSubscribers }{list}
}

func (l subscribersList) of(event evid.EventInfo) eventSubscribers {
	var items []subscriberItem
	for _, s := range l.i.Subscribers(event.Name) {
		items = append(items, l.item(s))
	}
	if items == nil {
		return eventSubscribers{}
	}
	return eventSubscribers{eventItem: (*eventItem)(&event), Subscribers: items}
}

func (l subscribersList) one(event evid.EventInfo, a Args) (eventSubscribers, error) {
	text, err := a.Text("socket")
	if err != nil {
		return eventSubscribers{}, err
	}
	socket, err := l.i.ParseSocket(text)
	if err != nil {
		return eventSubscribers{}, &Error{404, "Subscriber does not exist", err.Error()}
	}
	for _, s := range l.i.Subscribers(event.Name) {
		if s.Socket.Key() == socket.Key() {
			item := l.item(s)
			return eventSubscribers{eventItem: (*eventItem)(&event), Subscriber: &item}, nil
		}
	}
	return eventSubscribers{}, &Error{
		404, "Subscriber does not exist",
		fmt.Sprintf("%s is not subscribed to %s", socket, event.Name),
	}
}

func (l subscribersList) item(s evid.Subscriber) subscriberItem {
	item := subscriberItem{Socket: s.Socket.String(), Expire: "never"}
	if s.Expire != evid.Never {
		ttl := seconds(s.TTL)
		item.Expire, item.TTL = seconds(s.Expire), &ttl
	}
	if !l.verbose {
		return item
	}
	if status, known := l.status.Status(s.Event, s.Socket.Key()); known {
		item.statusItem = newStatusItem(status)
	}
	return item
}

func newStatusItem(s evid.Status) *statusItem {
	item := &statusItem{
		State:       s.State.String(),
		Waiting:     s.Counts.Waiting,
		Delivered:   s.Counts.Delivered,
		Failed:      s.Counts.Retried + s.Counts.Dead,
		LastSuccess: optionalTime(s.LastSuccess),
		NextAttempt: optionalTime(s.NextAttempt),
	}
	if s.LastError != "" {
		item.LastError = &s.LastError
	}
	return item
}

// seconds rounds up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// timestamp returns a time as RFC 3339 has it, in UTC and with milliseconds, so
// that all are equally long and sort as text.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// optionalTime returns nil for the zero time, which stands for none.
func optionalTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := timestamp(t)
	return &text
}
