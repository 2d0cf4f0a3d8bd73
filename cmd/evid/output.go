package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
)

// printJSON prints a result as one line of JSON, digit for digit.
func printJSON(w io.Writer, result json.RawMessage) error {
	var line bytes.Buffer
	if err := json.Compact(&line, result); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, line.String())
	return err
}

// printResult prints a result of any form: for people a string as it is, anything
// else as indented JSON.
func printResult(w io.Writer, result json.RawMessage, asJSON bool) error {
	if asJSON {
		return printJSON(w, result)
	}
	var text string
	if json.Unmarshal(result, &text) == nil && !strings.ContainsFunc(text, unicode.IsControl) {
		_, err := fmt.Fprintln(w, text)
		return err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, result, "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, indented.String())
	return err
}

// eventInfo is an event in the results of events_list and subscribers_list.
type eventInfo struct {
	Name        string         `json:"name"`
	ID          int            `json:"id"`
	Subscribers []subscription `json:"Subscribers"`
	Subscriber  *subscription  `json:"Subscriber"` // in place of Subscribers where one socket was asked for
}

type subscription struct {
	Socket string          `json:"socket"`
	Expire json.RawMessage `json:"expire"` // seconds, or "never"
	TTL    json.RawMessage `json:"ttl"`    // seconds, "expired", or absent

	// How it is doing, with verbose. Texts and times may be null.
	State       json.RawMessage `json:"state"`
	Waiting     json.RawMessage `json:"waiting"`
	Delivered   json.RawMessage `json:"delivered"`
	Failed      json.RawMessage `json:"failed"`
	LastError   *string         `json:"last_error"`
	LastSuccess json.RawMessage `json:"last_success"`
	NextAttempt json.RawMessage `json:"next_attempt"`
}

func (s *subscription) row(event string, verbose bool) []string {
	row := []string{event, s.Socket, cell(s.Expire), cell(s.TTL)}
	if !verbose {
		return row
	}
	lastError := "-"
	if s.LastError != nil {
		lastError = oneLine(*s.LastError)
	}
	return append(row, cell(s.State), cell(s.Waiting), cell(s.Delivered), cell(s.Failed),
		cell(s.LastSuccess), cell(s.NextAttempt), lastError)
}

func printEvents(w io.Writer, result json.RawMessage) error {
	var list struct{ Events []eventInfo }
	if err := json.Unmarshal(result, &list); err != nil {
		return fmt.Errorf("read the list of events: %w", err)
	}
	rows := [][]string{{"ID", "EVENT"}}
	for _, e := range list.Events {
		rows = append(rows, []string{strconv.Itoa(e.ID), e.Name})
	}
	return printTable(w, rows)
}

func printSubscribers(w io.Writer, result json.RawMessage, verbose bool) error {
	var list struct {
		Events []eventInfo
		Event  eventInfo // in place of Events where one event was asked for
	}
	if err := json.Unmarshal(result, &list); err != nil {
		return fmt.Errorf("read the list of subscribers: %w", err)
	}
	head := []string{"EVENT", "SOCKET", "EXPIRE", "TTL"}
	if verbose {
		head = append(head, "STATE", "WAITING", "DELIVERED", "FAILED", "LAST SUCCESS", "NEXT ATTEMPT", "LAST ERROR")
	}
	rows := [][]string{head}
	for _, e := range append(list.Events, list.Event) {
		if e.Subscriber != nil {
			e.Subscribers = append(e.Subscribers, *e.Subscriber)
		}
		for _, s := range e.Subscribers {
			rows = append(rows, s.row(e.Name, verbose))
		}
	}
	return printTable(w, rows)
}

// cell returns a number or a string without its quotes, and "-" for nothing and
// for null.
func cell(value json.RawMessage) string {
	if value == nil || string(value) == "null" {
		return "-"
	}
	return strings.Trim(string(value), `"`)
}

// oneLine returns a text with blanks in place of what would break a table or act
// upon the terminal: it may come from a peer.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

func printTable(w io.Writer, rows [][]string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(table, strings.Join(row, "\t")) // Flush returns the error
	}
	return table.Flush()
}
