package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/jetstream"
)

type verifyCmd struct {
	Dir string `arg:"" help:"The directory: that of modparam(\"queue\", \"dir\")."`
	format
}

// Help is what "evid queue verify --help" adds.
func (*verifyCmd) Help() string {
	return `It says what is kept and what is damaged or missing, and changes nothing. It makes a copy of some of the files, beside ` +
		`the directory or with the temporary ones. The exit code is 0 if all is in order, and 1 if not.`
}

// A verified is what there is to say of a directory.
type verified struct {
	queue.Report
	infos []jetstream.JournalReport
}

func (cmd *verifyCmd) Run(con *console) error {
	v, err := verify(cmd.Dir)
	if err != nil {
		return err
	}
	if cmd.json() {
		err = v.printJSON(con.stdout)
	} else {
		err = v.print(con.stdout)
	}
	switch n := len(v.Problems); {
	case err != nil:
		return err
	case n == 1:
		return fmt.Errorf("queue %s: 1 problem", cmd.Dir)
	case n > 1:
		return fmt.Errorf("queue %s: %d problems", cmd.Dir, n)
	default:
		return nil
	}
}

func verify(dir string) (*verified, error) {
	if _, err := os.ReadDir(dir); err != nil {
		return nil, fmt.Errorf("verify queue: %w", err)
	}
	check := queue.NewCheck()
	infos, err := jetstream.Verify(filepath.Clean(dir), check.Add) // it makes its copy beside it
	if err != nil {
		return nil, err
	}
	v := &verified{check.Report(), infos}
	var found []string
	for _, info := range infos {
		for _, damage := range info.Damage {
			damage, _, _ = strings.Cut(damage, "; its bytes are set aside") // of the copy they were
			found = append(found, fmt.Sprintf("%s: %s", info.Journal, damage))
		}
	}
	v.Problems = append(found, v.Problems...)
	return v, nil
}

func (v *verified) print(w io.Writer) error {
	rows := [][]string{{"JOURNAL", "ENTRIES", "BYTES", "FIRST", "LAST", "HAS"}}
	for j, r := range v.Journals {
		rows = append(rows, []string{
			queue.Journal(j).String(), strconv.FormatUint(r.Entries, 10), strconv.FormatUint(r.Bytes, 10),
			moment(r.First), moment(r.Last), v.has(queue.Journal(j)),
		})
	}
	if err := printTable(w, rows); err != nil {
		return err
	}
	for _, text := range v.Problems {
		fmt.Fprintf(w, "problem: %s\n", oneLine(text))
	}
	for _, text := range v.Notes {
		fmt.Fprintf(w, "note: %s\n", oneLine(text))
	}
	if v.More > 0 {
		fmt.Fprintf(w, "and %d more\n", v.More)
	}
	return nil
}

// has says what is in a journal.
func (v *verified) has(j queue.Journal) string {
	switch j {
	case queue.EventLog:
		return fmt.Sprintf("events: %d, names: %d", v.Events, v.Names)
	case queue.LetterLog:
		return fmt.Sprintf("dead letters: %d", v.Letters)
	default:
		text := fmt.Sprintf("subscribers: %d, waiting: %d", v.Subscribers, v.Waiting)
		if v.Unfinished > 0 {
			text += fmt.Sprintf(", unfinished saves: %d", v.Unfinished)
		}
		return text
	}
}

func (v *verified) printJSON(w io.Writer) error {
	type journal struct {
		Name    string `json:"name"`
		Entries uint64 `json:"entries"`
		Bytes   uint64 `json:"bytes"`
		First   string `json:"first"`
		Last    string `json:"last"`
	}
	out := struct {
		Journals    []journal `json:"journals"`
		Events      uint64    `json:"events"`
		Letters     int       `json:"dead_letters"`
		Subscribers int       `json:"subscribers"`
		Waiting     uint64    `json:"waiting"`
		Unfinished  int       `json:"unfinished_saves"`
		Problems    []string  `json:"problems"`
		Notes       []string  `json:"notes"`
		More        int       `json:"more"`
	}{
		nil, v.Events, v.Letters, v.Subscribers, v.Waiting, v.Unfinished,
		append([]string{}, v.Problems...), append([]string{}, v.Notes...), v.More,
	}
	for j, r := range v.Journals {
		out.Journals = append(out.Journals, journal{queue.Journal(j).String(), r.Entries, r.Bytes, moment(r.First), moment(r.Last)})
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(out)
}
