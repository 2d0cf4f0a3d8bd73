package mi

import (
	"context"
	"time"
)

// A Queue is what keeps events: it says how it is doing. It may be asked from several
// goroutines at once.
type Queue interface {
	QueueStatus(subscribers int) QueueStatus
}

// A QueueStatus says what a queue keeps and how it is doing.
type QueueStatus struct {
	Mode   string    // "durable" or "memory"
	Where  string    // a directory or a URL, without its password; empty: in memory
	Sync   string    // when what is kept goes to the disk; empty: that is not known here
	Reason string    // why it takes no events now; empty: it does
	Since  time.Time // of Reason; zero: that is not known

	Events uint64
	Bytes  uint64
	Oldest time.Time // when the oldest event was raised; zero: there is none

	// The limits; 0: there is none.
	MaxEvents, MaxBytes uint64
	MaxAge              time.Duration
	OnFull              string

	DeadLetters uint64
	Waiting     uint64 // events, counted once for each subscriber
	Dormant     int    // subscribers
	Behind      int    // subscribers that are dormant, or for which events wait
	Subscribers []QueuedSubscriber
}

// A QueuedSubscriber is a subscriber for which events wait, or which is dormant: it was
// kept across a restart and could not be brought back.
type QueuedSubscriber struct {
	Event   string
	Socket  string
	Waiting uint64
	Oldest  time.Time // when the oldest of these was raised; zero: unknown
	Dormant bool
	Reason  string // why it is dormant; empty: it is not
}

// maxQueued is how many subscribers a reply of queue_status has.
const maxQueued = 100

// QueueCommands returns the command about the queue.
func QueueCommands(q Queue) []Command {
	return []Command{
		{
			Name: "queue_status", Alias: "evi:queue_status",
			Help:   "says what the queue keeps, whether it can write, and which subscribers are behind",
			Params: [][]string{{}},
			Run: func(context.Context, Args) (any, error) {
				return newQueueItem(q.QueueStatus(maxQueued)), nil
			},
		},
	}
}

// queueItem is the reply of queue_status.
type queueItem struct {
	Mode        string       `json:"mode"`
	Where       string       `json:"where,omitempty"`
	Sync        string       `json:"sync,omitempty"`
	Writable    bool         `json:"writable"`
	Reason      string       `json:"reason,omitempty"`
	Since       *string      `json:"since,omitempty"`
	Events      uint64       `json:"events"`
	Bytes       uint64       `json:"bytes"`
	Oldest      *string      `json:"oldest"`
	MaxEvents   uint64       `json:"max_events"`
	MaxBytes    uint64       `json:"max_bytes"`
	MaxAge      int64        `json:"max_age"` // seconds
	OnFull      string       `json:"on_full"`
	DeadLetters uint64       `json:"dead_letters"`
	Waiting     uint64       `json:"waiting"`
	Dormant     int          `json:"dormant"`
	Subscribers []queuedItem `json:"Subscribers"`
	Total       int          `json:"total"` // with those that have no place
}

type queuedItem struct {
	Event   string  `json:"event"`
	Socket  string  `json:"socket"`
	Waiting uint64  `json:"waiting"`
	Oldest  *string `json:"oldest"`
	Dormant bool    `json:"dormant"`
	Reason  string  `json:"reason,omitempty"`
}

func newQueueItem(s QueueStatus) queueItem {
	item := queueItem{
		Mode: s.Mode, Where: s.Where, Sync: s.Sync,
		Writable: s.Reason == "", Reason: s.Reason, Since: optionalTime(s.Since),
		Events: s.Events, Bytes: s.Bytes, Oldest: optionalTime(s.Oldest),
		MaxEvents: s.MaxEvents, MaxBytes: s.MaxBytes, MaxAge: seconds(s.MaxAge), OnFull: s.OnFull,
		DeadLetters: s.DeadLetters, Waiting: s.Waiting, Dormant: s.Dormant,
		Subscribers: []queuedItem{}, Total: s.Behind,
	}
	for _, one := range s.Subscribers {
		item.Subscribers = append(item.Subscribers, queuedItem{
			one.Event, one.Socket, one.Waiting, optionalTime(one.Oldest), one.Dormant, one.Reason,
		})
	}
	return item
}
