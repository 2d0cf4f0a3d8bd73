package main

import (
	"encoding/json"
	"fmt"
	"strconv"
)

type deadLettersCmd struct {
	choice
	client
}

// Help is what "evid dead-letters --help" adds.
func (*deadLettersCmd) Help() string {
	return `Without EVENT and --letter it lists all, the oldest first; --letter shows the parameters of the event, too. ` +
		`Times are in UTC. Events that a subscriber has lost because it was too far behind share one letter, with their COUNT: ` +
		`they are gone, and cannot be replayed.`
}

func (cmd *deadLettersCmd) Run(con *console) error {
	letters, err := cmd.list()
	switch {
	case err != nil:
		return fmt.Errorf("list dead letters: %w", err)
	case cmd.json():
		return printLettersJSON(con.stdout, letters)
	case cmd.Letter != nil:
		return printLetter(con.stdout, letters)
	default:
		return printLetters(con.stdout, letters)
	}
}

// list asks for one page after the other until it has all letters.
func (cmd *deadLettersCmd) list() ([]json.RawMessage, error) {
	var letters []json.RawMessage
	params := cmd.params()
	for {
		result, err := cmd.call("dead_letters", params)
		if err != nil {
			return nil, err
		}
		var page struct {
			Letters []json.RawMessage `json:"Dead letters"`
			Total   int               `json:"total"` // also of those after the page
		}
		if err := json.Unmarshal(result, &page); err != nil {
			return nil, fmt.Errorf("read a page: %w", err)
		}
		letters = append(letters, page.Letters...)
		if len(page.Letters) == 0 || len(page.Letters) >= page.Total {
			return letters, nil
		}
		last, err := readLetter(page.Letters[len(page.Letters)-1])
		if err != nil {
			return nil, err
		}
		params["after"] = strconv.FormatUint(last.Number, 10)
	}
}

type replayCmd struct {
	choice
	client
}

// Help is what "evid replay --help" adds.
func (*replayCmd) Help() string {
	return `Without EVENT and --letter it replays all. It says how many are being delivered now, and how many are left: ` +
		`those whose events are gone, and those where nobody is subscribed any more. ` +
		`One that cannot be delivered becomes a dead letter again, with its number.`
}

func (cmd *replayCmd) Run(con *console) error {
	result, err := cmd.call("dead_letter_replay", cmd.params())
	if err != nil {
		return fmt.Errorf("replay dead letters: %w", err)
	}
	if cmd.json() {
		return printJSON(con.stdout, result)
	}
	var done struct{ Replayed, Left int }
	if err := json.Unmarshal(result, &done); err != nil {
		return fmt.Errorf("read the result of a replay: %w", err)
	}
	text := fmt.Sprintf("replayed %d, left %d", done.Replayed, done.Left)
	if done.Left > 0 {
		text += " (their events are gone, or nobody is subscribed there any more)"
	}
	_, err = fmt.Fprintln(con.stdout, text)
	return err
}

type purgeCmd struct {
	choice
	client
}

// Help is what "evid purge --help" adds.
func (*purgeCmd) Help() string {
	return "Without EVENT and --letter it purges all. It says how many they were."
}

func (cmd *purgeCmd) Run(con *console) error {
	result, err := cmd.call("dead_letter_purge", cmd.params())
	if err != nil {
		return fmt.Errorf("purge dead letters: %w", err)
	}
	if cmd.json() {
		return printJSON(con.stdout, result)
	}
	var done struct{ Purged int }
	if err := json.Unmarshal(result, &done); err != nil {
		return fmt.Errorf("read the result of a purge: %w", err)
	}
	_, err = fmt.Fprintf(con.stdout, "purged %d\n", done.Purged)
	return err
}
