package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
)

// queueCmd is "evid queue", and "evid queue verify".
type queueCmd struct {
	Status queueStatusCmd `cmd:"" default:"withargs" help:"Say what the queue keeps, whether it can write, and who is behind."`
	Verify verifyCmd      `cmd:"" help:"Look through a directory that no daemon is using."`
}

type queueStatusCmd struct {
	client
}

// Help is what "evid queue status --help" adds.
func (*queueStatusCmd) Help() string {
	return `It lists the subscribers that are behind, those with most WAITING first, at most 100; OLDEST is when the oldest ` +
		`of these events was raised, in UTC. A dormant subscriber was kept across a restart, and its socket could not be read: ` +
		`it gets nothing, and what waits for it is kept.`
}

func (cmd *queueStatusCmd) Run(con *console) error {
	result, err := cmd.call("queue_status", nil)
	if err != nil {
		return fmt.Errorf("ask for the queue: %w", err)
	}
	if cmd.json() {
		return printJSON(con.stdout, result)
	}
	var status queueStatus
	if err := json.Unmarshal(result, &status); err != nil {
		return fmt.Errorf("read the status of the queue: %w", err)
	}
	return status.print(con.stdout)
}

// queueStatus is the result of queue_status.
type queueStatus struct {
	Mode        string             `json:"mode"`
	Where       string             `json:"where"`
	Sync        string             `json:"sync"`
	Writable    bool               `json:"writable"`
	Reason      string             `json:"reason"`
	Since       string             `json:"since"`
	Events      uint64             `json:"events"`
	Bytes       uint64             `json:"bytes"`
	Oldest      json.RawMessage    `json:"oldest"`
	MaxEvents   uint64             `json:"max_events"`
	MaxBytes    uint64             `json:"max_bytes"`
	MaxAge      int64              `json:"max_age"`
	OnFull      string             `json:"on_full"`
	DeadLetters uint64             `json:"dead_letters"`
	Waiting     uint64             `json:"waiting"`
	Dormant     int                `json:"dormant"`
	Subscribers []queuedSubscriber `json:"Subscribers"`
	Total       int                `json:"total"`
}

type queuedSubscriber struct {
	Event   string          `json:"event"`
	Socket  string          `json:"socket"`
	Waiting uint64          `json:"waiting"`
	Oldest  json.RawMessage `json:"oldest"`
	Dormant bool            `json:"dormant"`
	Reason  string          `json:"reason"`
}

func (s *queueStatus) print(w io.Writer) error {
	if err := printTable(w, s.rows()); err != nil {
		return err
	}
	if s.Total == 0 {
		return nil
	}
	fmt.Fprintln(w)
	rows := [][]string{{"EVENT", "SOCKET", "WAITING", "OLDEST", "STATE"}}
	for _, one := range s.Subscribers {
		state := "behind"
		if one.Dormant {
			state = "dormant: " + oneLine(one.Reason)
		}
		rows = append(rows, []string{one.Event, one.Socket, strconv.FormatUint(one.Waiting, 10), cell(one.Oldest), state})
	}
	if err := printTable(w, rows); err != nil {
		return err
	}
	if more := s.Total - len(s.Subscribers); more > 0 {
		fmt.Fprintf(w, "and %d more\n", more)
	}
	return nil
}

func (s *queueStatus) rows() [][]string {
	rows := [][]string{{"mode", s.Mode}}
	if s.Where != "" {
		rows = append(rows, []string{"where", oneLine(s.Where)})
	}
	if s.Sync != "" {
		rows = append(rows, []string{"sync", s.Sync})
	}
	writable := "yes"
	if !s.Writable {
		writable = "no: " + oneLine(s.Reason)
	}
	rows = append(rows, []string{"writable", writable})
	if s.Since != "" {
		rows = append(rows, []string{"since", s.Since})
	}
	return append(rows, [][]string{
		{"events", count(s.Events, s.MaxEvents)},
		{"bytes", count(s.Bytes, s.MaxBytes)},
		{"oldest", cell(s.Oldest) + s.age()},
		{"on full", s.OnFull},
		{"dead letters", strconv.FormatUint(s.DeadLetters, 10)},
		{"waiting", strconv.FormatUint(s.Waiting, 10)},
		{"dormant", strconv.Itoa(s.Dormant)},
	}...)
}

// count returns a number with its limit, if there is one.
func count(n, limit uint64) string {
	if limit == 0 {
		return strconv.FormatUint(n, 10)
	}
	return fmt.Sprintf("%d (at most %d)", n, limit)
}

// age returns the limit of the oldest, if there is one.
func (s *queueStatus) age() string {
	if s.MaxAge == 0 {
		return ""
	}
	return fmt.Sprintf(" (at most %d s)", s.MaxAge)
}

// moment returns a time as MI does.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
