package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/evid/evid/internal/receiver"
)

// deadLetter is a dead letter in the result of dead_letters.
type deadLetter struct {
	Number   uint64        `json:"number"`
	Event    string        `json:"event"`
	Socket   string        `json:"socket"`
	Reason   string        `json:"reason"`
	Attempts int           `json:"attempts"`
	First    string        `json:"first"`
	Last     string        `json:"last"`
	Count    uint64        `json:"count"`
	FirstID  string        `json:"first_id"`
	LastID   string        `json:"last_id"`
	Params   []letterParam `json:"params"` // nil: the events are gone
}

type letterParam struct {
	Name  string `json:"name"`
	Value any    `json:"value"` // a string or a [json.Number]
}

func readLetter(letter json.RawMessage) (*deadLetter, error) {
	d := new(deadLetter)
	dec := json.NewDecoder(bytes.NewReader(letter))
	dec.UseNumber()
	if err := dec.Decode(d); err != nil {
		return nil, fmt.Errorf("read a dead letter: %w", err)
	}
	return d, nil
}

// printLettersJSON prints the letters of all pages as if they had come in one, in
// one line.
func printLettersJSON(w io.Writer, letters []json.RawMessage) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false) // the letters are printed as they came
	return out.Encode(struct {
		Letters []json.RawMessage `json:"Dead letters"`
		Total   int               `json:"total"`
	}{append([]json.RawMessage{}, letters...), len(letters)})
}

func printLetters(w io.Writer, letters []json.RawMessage) error {
	rows := [][]string{{"LETTER", "EVENT", "SOCKET", "COUNT", "ATTEMPTS", "LAST", "REASON"}}
	for _, letter := range letters {
		d, err := readLetter(letter)
		if err != nil {
			return err
		}
		rows = append(rows, []string{
			strconv.FormatUint(d.Number, 10), d.Event, d.Socket, strconv.FormatUint(d.Count, 10),
			strconv.Itoa(d.Attempts), d.Last, oneLine(d.Reason),
		})
	}
	return printTable(w, rows)
}

// printLetter prints all about one letter, and about any others.
func printLetter(w io.Writer, letters []json.RawMessage) error {
	var rows [][]string
	for _, letter := range letters {
		d, err := readLetter(letter)
		if err != nil {
			return err
		}
		rows = append(rows, d.rows()...)
	}
	return printTable(w, rows)
}

func (d *deadLetter) rows() [][]string {
	rows := [][]string{
		{"letter", strconv.FormatUint(d.Number, 10)},
		{"event", d.Event},
	}
	if d.Params != nil {
		rows = append(rows, []string{"parameters", receiver.Call{Params: d.params()}.String()}, []string{"id", d.FirstID})
	} else {
		rows = append(rows, []string{"events", strconv.FormatUint(d.Count, 10) + ", which are gone"},
			[]string{"first id", d.FirstID}, []string{"last id", d.LastID})
	}
	return append(rows, [][]string{
		{"socket", d.Socket},
		{"reason", oneLine(d.Reason)},
		{"attempts", strconv.Itoa(d.Attempts)},
		{"first", d.First},
		{"last", d.Last},
	}...)
}

// params returns the parameters as a receiver has them, which knows how to print
// them.
func (d *deadLetter) params() []receiver.Param {
	params := make([]receiver.Param, len(d.Params))
	for i, p := range d.Params {
		params[i] = receiver.Param(p)
	}
	return params
}
