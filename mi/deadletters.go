package mi

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"github.com/evid/evid"
)

// Limits of one reply of dead_letters. What is more, the client asks for with the
// parameter after.
const (
	maxLetters     = 1000
	maxLettersSize = 2 << 20 // bytes; a single letter may have more
)

// DeadLetters keeps the dead letters: the queue. Its methods may be called from
// several goroutines at once.
type DeadLetters interface {
	// DeadLetters lists those that f chooses, as they are now, in the order of
	// their numbers: the oldest first. An error, with no letter, ends it.
	DeadLetters(f evid.DeadLetterFilter) iter.Seq2[evid.DeadLetter, error]
	// Replay has those that f chooses delivered again. It returns how many that are,
	// and how many are left as they were because they cannot be. After an error the
	// rest of them is left as it was, too.
	Replay(f evid.DeadLetterFilter) (replayed, left int, err error)
	// Purge throws away those that f chooses and returns how many they were. After an
	// error the rest of them is still there.
	Purge(f evid.DeadLetterFilter) (purged int, err error)
}

// DeadLetterCommands returns the commands about dead letters. Each takes those of
// one event, of one of its subscribers, a single one by its number, or all.
func DeadLetterCommands(i *evid.Interface, letters DeadLetters) []Command {
	d := deadLetters{events{i: i}, letters}
	choice := [][]string{{}, {"event"}, {"event", "socket"}, {"letter"}}
	paged := slices.Concat(choice, [][]string{{"after"}, {"event", "after"}, {"event", "socket", "after"}})
	return []Command{
		{
			Name: "dead_letters", Alias: "evi:dead_letters",
			Help:   "lists events that were given up for a subscriber, the oldest first; after: only letters with a larger number",
			Params: paged,
			Run:    d.list,
		},
		{
			Name: "dead_letter_replay", Alias: "evi:dead_letter_replay",
			Help:   "delivers dead letters again, before what waits for their subscribers",
			Params: choice,
			Run:    d.replay,
		},
		{
			Name: "dead_letter_purge", Alias: "evi:dead_letter_purge",
			Help:   "throws dead letters away",
			Params: choice,
			Run:    d.purge,
		},
	}
}

type deadLetters struct {
	events  events
	letters DeadLetters
}

// filter reads which letters a call is about. It never chooses all because of a
// parameter that is empty or 0.
func (d deadLetters) filter(a Args) (evid.DeadLetterFilter, error) {
	var f evid.DeadLetterFilter
	var err error
	if a.Has("letter") {
		f.Number, err = a.Uint("letter")
		if err == nil && f.Number == 0 {
			err = notFound(f)
		}
		return f, err
	}
	if a.Has("event") {
		var event evid.EventInfo
		event, err = d.events.published(a)
		f.Event = event.Name
	}
	if err == nil && a.Has("socket") {
		f.Key, err = d.key(a)
	}
	return f, err
}

// key returns the identity of the parameter socket. That nobody is subscribed with
// it is no error: its dead letters outlive a subscription.
func (d deadLetters) key(a Args) (string, error) {
	text, err := nonEmpty(a, "socket")
	if err != nil {
		return "", err
	}
	socket, err := d.events.i.ParseSocket(text)
	if err != nil {
		return "", &Error{400, "Bad parameter value", err.Error()}
	}
	return socket.Key(), nil
}

// notFound is the error for a number that no letter has.
func notFound(f evid.DeadLetterFilter) error {
	return &Error{
		404, "Dead letter not found",
		fmt.Sprintf("there is no dead letter %d: dead_letters lists those that are kept", f.Number),
	}
}

// found returns an error if a call was about one letter and there were none.
func found(f evid.DeadLetterFilter, letters int) error {
	if f.Number != 0 && letters == 0 {
		return notFound(f)
	}
	return nil
}

// letterItem is a dead letter in the reply of dead_letters.
type letterItem struct {
	Number   uint64      `json:"number"`
	Event    string      `json:"event"`
	Socket   string      `json:"socket"`
	Reason   string      `json:"reason"`
	Attempts int         `json:"attempts"`
	First    string      `json:"first"`
	Last     string      `json:"last"`
	Count    uint64      `json:"count"`
	FirstID  string      `json:"first_id"`
	LastID   string      `json:"last_id"`
	Params   []paramItem `json:"params,omitzero"` // nil where the events are gone
}

// paramItem is a parameter. An array of them keeps what an object would lose: that
// some have no name, and some the same.
type paramItem struct {
	Name  string `json:"name,omitempty"`
	Value any    `json:"value"` // a string or an integer
}

func (d deadLetters) list(_ context.Context, a Args) (any, error) {
	filter, err := d.filter(a)
	if err != nil {
		return nil, err
	}
	var after uint64
	if a.Has("after") {
		if after, err = a.Uint("after"); err != nil {
			return nil, err
		}
	}
	p := page{Letters: []json.RawMessage{}}
	for letter, err := range d.letters.DeadLetters(filter) {
		if err != nil {
			return nil, &Error{500, "Cannot List Dead Letters", err.Error()}
		}
		if letter.Number <= after {
			continue
		}
		if err := p.add(&letter); err != nil {
			return nil, err
		}
	}
	return p, found(filter, p.Total)
}

// A page is a reply of dead_letters.
type page struct {
	Letters []json.RawMessage `json:"Dead letters"`
	Total   int               `json:"total"` // with those that have no place in it

	size int // of Letters
	full bool
}

// add counts a letter, and appends it if there is a place for it and for all that
// were before it.
func (p *page) add(d *evid.DeadLetter) error {
	p.Total++
	if p.full = p.full || len(p.Letters) == maxLetters; p.full {
		return nil
	}
	letter, err := appendJSON(nil, newLetterItem(d))
	if err != nil {
		return fmt.Errorf("encode dead letter %d: %w", d.Number, err)
	}
	if p.full = len(p.Letters) > 0 && p.size+len(letter) > maxLettersSize; p.full {
		return nil
	}
	p.Letters = append(p.Letters, letter)
	p.size += len(letter)
	return nil
}

func newLetterItem(d *evid.DeadLetter) letterItem {
	item := letterItem{
		Number:   d.Number,
		Event:    d.Event,
		Socket:   d.Socket.String(),
		Reason:   d.Reason,
		Attempts: d.Attempts,
		First:    timestamp(d.First),
		Last:     timestamp(d.Last),
		Count:    d.Count,
		FirstID:  d.FirstID.String(),
		LastID:   d.LastID.String(),
	}
	if d.Raised != nil {
		item.Params = paramItems(d.Raised.Params)
	}
	return item
}

func paramItems(params []evid.Param) []paramItem {
	items := make([]paramItem, len(params))
	for i, p := range params {
		items[i] = paramItem{p.Name, p.Str}
		if p.Kind == evid.KindInt {
			items[i].Value = p.Int
		}
	}
	return items
}

func (d deadLetters) replay(_ context.Context, a Args) (any, error) {
	filter, err := d.filter(a)
	if err != nil {
		return nil, err
	}
	replayed, left, err := d.letters.Replay(filter)
	if err != nil {
		return nil, &Error{500, "Cannot Replay Dead Letters", err.Error()}
	}
	return struct {
		Replayed int `json:"replayed"`
		Left     int `json:"left"`
	}{replayed, left}, found(filter, replayed+left)
}

func (d deadLetters) purge(_ context.Context, a Args) (any, error) {
	filter, err := d.filter(a)
	if err != nil {
		return nil, err
	}
	purged, err := d.letters.Purge(filter)
	if err != nil {
		return nil, &Error{500, "Cannot Purge Dead Letters", err.Error()}
	}
	return struct {
		Purged int `json:"purged"`
	}{purged}, found(filter, purged)
}
