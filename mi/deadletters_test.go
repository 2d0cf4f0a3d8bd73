package mi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid"
	"github.com/evid/evid/mi"
	"github.com/evid/evid/mi/internal/mitest"
)

// letters are dead letters as the queue has them. Those about events that are gone
// cannot be replayed.
type letters struct {
	kept []evid.DeadLetter
	err  error // with which everything ends
}

func (l *letters) DeadLetters(f evid.DeadLetterFilter) iter.Seq2[evid.DeadLetter, error] {
	return func(yield func(evid.DeadLetter, error) bool) {
		for _, d := range l.kept {
			if f.Matches(&d) && !yield(d, nil) {
				return
			}
		}
		if l.err != nil {
			yield(evid.DeadLetter{}, l.err)
		}
	}
}

func (l *letters) Replay(f evid.DeadLetterFilter) (replayed, left int, err error) {
	l.kept = slices.DeleteFunc(l.kept, func(d evid.DeadLetter) bool {
		switch {
		case !f.Matches(&d):
			return false
		case d.Raised == nil:
			left++
			return false
		default:
			replayed++
			return true
		}
	})
	return replayed, left, l.err
}

func (l *letters) Purge(f evid.DeadLetterFilter) (purged int, err error) {
	before := len(l.kept)
	l.kept = slices.DeleteFunc(l.kept, func(d evid.DeadLetter) bool { return f.Matches(&d) })
	return before - len(l.kept), l.err
}

// newDeadLetters returns a table with the commands about letters, and the events
// E_TEST and E_OTHER.
func newDeadLetters(t *testing.T, l mi.DeadLetters) (*mi.Table, *evid.Interface) {
	t.Helper()
	iface, _ := mitest.New(false)
	for _, event := range []string{"E_TEST", "E_OTHER"} {
		if err := iface.Register(event); err != nil {
			t.Fatal(err)
		}
	}
	table, err := mi.NewTable(mi.DeadLetterCommands(iface, l)...)
	if err != nil {
		t.Fatal(err)
	}
	return table, iface
}

// testLetter returns a letter about an event with these parameters.
func testLetter(t *testing.T, iface *evid.Interface, number uint64, event, socket string, params ...evid.Param) evid.DeadLetter {
	t.Helper()
	s, err := iface.ParseSocket(socket)
	if err != nil {
		t.Fatal(err)
	}
	id := evid.ID{Epoch: 1, Seq: number}
	at := time.Date(2026, 11, 23, 22, 4, 5, 0, time.UTC)
	return evid.DeadLetter{
		Number: number, Event: event, Socket: s, Reason: "status 400", Attempts: 1,
		First: at, Last: at.Add(1234567890), Count: 1, FirstID: id, LastID: id,
		Raised: &evid.Event{ID: id, Name: event, Params: params},
	}
}

func threeLetters(t *testing.T) (*mi.Table, *letters) {
	t.Helper()
	l := new(letters)
	table, iface := newDeadLetters(t, l)
	gone := testLetter(t, iface, 3, "E_TEST", "udp:h:2")
	gone.Reason, gone.Attempts, gone.Raised = "the queue is full: <dropped>", 0, nil
	gone.Count, gone.LastID = 40, evid.ID{Epoch: 1, Seq: 42}
	l.kept = []evid.DeadLetter{
		testLetter(t, iface, 2, "E_TEST", "udp:h:1",
			evid.String("b", "x\n"), evid.Int("n", -1<<63), evid.String("", "42"), evid.Int("", 42), evid.String("b", "")),
		gone,
		testLetter(t, iface, 5, "E_OTHER", "udp:h:1"),
	}
	return table, l
}

func TestDeadLettersReply(t *testing.T) {
	table, _ := threeLetters(t)
	const times = `"first":"2026-11-23T22:04:05.000Z","last":"2026-11-23T22:04:06.234Z"`
	const want = `{"Dead letters":[` +
		`{"number":2,"event":"E_TEST","socket":"udp:h:1","reason":"status 400","attempts":1,` + times + `,"count":1,` +
		`"first_id":"00000000000000010000000000000002","last_id":"00000000000000010000000000000002",` +
		`"params":[{"name":"b","value":"x\n"},{"name":"n","value":-9223372036854775808},{"value":"42"},{"value":42},{"name":"b","value":""}]},` +
		`{"number":3,"event":"E_TEST","socket":"udp:h:2","reason":"the queue is full: <dropped>","attempts":0,` + times + `,"count":40,` +
		`"first_id":"00000000000000010000000000000003","last_id":"0000000000000001000000000000002a"},` +
		`{"number":5,"event":"E_OTHER","socket":"udp:h:1","reason":"status 400","attempts":1,` + times + `,"count":1,` +
		`"first_id":"00000000000000010000000000000005","last_id":"00000000000000010000000000000005","params":[]}],"total":3}`
	if diff := cmp.Diff(want, call(t, table, "dead_letters", `[]`)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// numbers asks for dead letters and returns the numbers of those in the reply.
func numbers(t *testing.T, table *mi.Table, params string) (list []uint64, total int) {
	t.Helper()
	var reply struct {
		Letters []struct{ Number uint64 } `json:"Dead letters"`
		Total   int
	}
	result := call(t, table, "dead_letters", params)
	if err := json.Unmarshal([]byte(result), &reply); err != nil {
		t.Fatalf("%s: got %s: %v", params, result, err)
	}
	for _, letter := range reply.Letters {
		list = append(list, letter.Number)
	}
	return list, reply.Total
}

// Each choice is listed, replayed and purged, and no other letter is.
func TestDeadLettersChoice(t *testing.T) {
	all := []uint64{2, 3, 5}
	for _, test := range []struct {
		params string
		chosen []uint64
		left   []uint64 // of these: by a replay
	}{
		{`[]`, all, []uint64{3}},
		{`{}`, all, []uint64{3}},
		{`["E_TEST"]`, []uint64{2, 3}, []uint64{3}},
		{`{"event":"E_OTHER"}`, []uint64{5}, nil},
		{`["E_TEST","udp:h:1"]`, []uint64{2}, nil},
		{`{"socket":"udp:h:2","event":"E_TEST"}`, []uint64{3}, []uint64{3}},
		{`["E_TEST","udp:h:9"]`, nil, nil},
		{`{"letter":5}`, []uint64{5}, nil},
		{`{"letter":"3"}`, []uint64{3}, []uint64{3}},
	} {
		table, _ := threeLetters(t)
		list, total := numbers(t, table, test.params)
		if diff := cmp.Diff(test.chosen, list); diff != "" || total != len(test.chosen) {
			t.Errorf("list %s: total %d (-want +got):\n%s", test.params, total, diff)
		}
		want := fmt.Sprintf(`{"replayed":%d,"left":%d}`, len(test.chosen)-len(test.left), len(test.left))
		if got := call(t, table, "evi:dead_letter_replay", test.params); got != want {
			t.Errorf("replay %s: got %s, want %s", test.params, got, want)
		}
		expectKept(t, table, test.params, all, test.chosen, test.left)

		table, _ = threeLetters(t)
		want = fmt.Sprintf(`{"purged":%d}`, len(test.chosen))
		if got := call(t, table, "evi:dead_letter_purge", test.params); got != want {
			t.Errorf("purge %s: got %s, want %s", test.params, got, want)
		}
		expectKept(t, table, test.params, all, test.chosen, nil)
	}
}

// expectKept expects that of all letters those taken are gone, but for those left.
func expectKept(t *testing.T, table *mi.Table, params string, all, taken, left []uint64) {
	t.Helper()
	var want []uint64
	for _, n := range all {
		if !slices.Contains(taken, n) || slices.Contains(left, n) {
			want = append(want, n)
		}
	}
	got, _ := numbers(t, table, `[]`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: kept (-want +got):\n%s", params, diff)
	}
}

// What cannot be chosen is an error of all three commands, and nothing happens.
func TestDeadLettersErrors(t *testing.T) {
	for _, test := range []struct {
		params  string
		code    int
		message string
		data    string
	}{
		{`["E_TSET"]`, 404, "Event not published", `did you mean "E_TEST"?`},
		{`[""]`, 404, "Event not published", `unknown event ""`},
		{`[2]`, 404, "Event not published", `unknown event "2"`},
		{`["E_TSET","junk"]`, 404, "Event not published", `did you mean "E_TEST"?`},
		{`["E_TEST","junk"]`, 400, "Bad parameter value", "unknown transport"},
		{`["E_TEST","udp:h:x"]`, 400, "Bad parameter value", "expected a port"},
		{`["E_TEST",""]`, -32602, "Invalid params", "Bad type for parameter 'socket'"},
		{`["E_TEST",null]`, -32602, "Invalid params", "Bad type for parameter 'socket'"},
		{`[{}]`, -32602, "Invalid params", "Bad type for parameter 'event'"},
		{`{"letter":4}`, 404, "Dead letter not found", "there is no dead letter 4: dead_letters lists"},
		{`{"letter":0}`, 404, "Dead letter not found", "there is no dead letter 0"},
		{`{"letter":18446744073709551615}`, 404, "Dead letter not found", "there is no dead letter 18446744073709551615"},
		{`{"letter":18446744073709551616}`, -32602, "Invalid params", "Bad type for parameter 'letter'"},
		{`{"letter":-1}`, -32602, "Invalid params", "Bad type for parameter 'letter'"},
		{`{"letter":2.5}`, -32602, "Invalid params", "Bad type for parameter 'letter'"},
		{`{"letter":""}`, -32602, "Invalid params", "Bad type for parameter 'letter'"},
		{`{"letter":null}`, -32602, "Invalid params", "Bad type for parameter 'letter'"},
		{`{"socket":"udp:h:1"}`, -32602, "Invalid params", "Named parameters do not match"},
		{`{"event":"E_TEST","letter":2}`, -32602, "Invalid params", "Named parameters do not match"},
	} {
		table, l := threeLetters(t)
		for _, method := range []string{"dead_letters", "dead_letter_replay", "dead_letter_purge"} {
			got := serve(t, table, method, test.params).Error
			if got == nil || got.Code != test.code || got.Message != test.message || !strings.Contains(fmt.Sprint(got.Data), test.data) {
				t.Errorf("%s %s: got %v", method, test.params, got)
			}
		}
		if len(l.kept) != 3 {
			t.Errorf("%s: %d letters are kept, want 3", test.params, len(l.kept))
		}
	}
	table, _ := threeLetters(t)
	if got := call(t, table, "dead_letters", `{"after":-1}`); got != "-32602" {
		t.Errorf("after -1: got %s", got)
	}
	if got := call(t, table, "dead_letter_purge", `{"after":1}`); got != "-32602" {
		t.Errorf("purge after 1: got %s", got)
	}
}

// An error of the storage is told, whatever was chosen and done before it.
func TestDeadLettersStorageErrors(t *testing.T) {
	for method, message := range map[string]string{
		"dead_letters":       "Cannot List Dead Letters",
		"dead_letter_replay": "Cannot Replay Dead Letters",
		"dead_letter_purge":  "Cannot Purge Dead Letters",
	} {
		for _, params := range []string{`[]`, `["E_TEST"]`, `["E_TEST","udp:h:9"]`, `{"letter":2}`, `{"letter":4}`} {
			table, l := threeLetters(t)
			l.err = errors.New("read letters: disk full")
			want := &mi.Error{Code: 500, Message: message, Data: "read letters: disk full"}
			if diff := cmp.Diff(want, serve(t, table, method, params).Error); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", method, params, diff)
			}
		}
	}
}

// walk asks for dead letters page by page, and returns the numbers in each.
func walk(t *testing.T, table *mi.Table) (pages [][]uint64) {
	t.Helper()
	after := uint64(0)
	for {
		page, total := numbers(t, table, `{"after":`+strconv.FormatUint(after, 10)+`}`)
		pages = append(pages, page)
		if total == len(page) {
			return pages
		}
		if len(page) == 0 || page[0] <= after {
			t.Fatalf("after %d: got %v of %d", after, page, total)
		}
		after = page[len(page)-1]
	}
}

func TestDeadLettersPages(t *testing.T) {
	l := new(letters)
	table, iface := newDeadLetters(t, l)
	for n := range uint64(2500) {
		l.kept = append(l.kept, testLetter(t, iface, 3*n+1, "E_TEST", "udp:h:1")) // some have been purged
	}
	var got []uint64
	var lengths []int
	for _, page := range walk(t, table) {
		got = append(got, page...)
		lengths = append(lengths, len(page))
	}
	if diff := cmp.Diff([]int{1000, 1000, 500}, lengths); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	if len(got) != 2500 || !slices.IsSorted(got) {
		t.Errorf("got %d letters, want 2500 in order", len(got))
	}
	if page, total := numbers(t, table, `["E_TEST","udp:h:1",7400]`); total != 33 || page[0] != 7402 {
		t.Errorf("after 7400: got %v of %d", page, total)
	}
	if page, total := numbers(t, table, `{"event":"E_OTHER","after":7}`); total != 0 || len(page) != 0 {
		t.Errorf("of an event without letters: got %v of %d", page, total)
	}
	if got := call(t, table, "dead_letters", `{"after":7498}`); got != `{"Dead letters":[],"total":0}` {
		t.Errorf("after the last: got %s", got)
	}
}

// A page has as many letters as have room in it, and at least one.
func TestDeadLettersPagesOfLargeEvents(t *testing.T) {
	l := new(letters)
	table, iface := newDeadLetters(t, l)
	control := strings.Repeat("\x01", 400<<10) // each is six bytes in JSON
	plain := strings.Repeat("x", 500<<10)
	for n, text := range []string{"", plain, plain, plain, plain, plain, control, "", plain} {
		l.kept = append(l.kept, testLetter(t, iface, uint64(n+1), "E_TEST", "udp:h:1", evid.String("v", text)))
	}
	want := [][]uint64{{1, 2, 3, 4, 5}, {6}, {7}, {8, 9}}
	if diff := cmp.Diff(want, walk(t, table)); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
}

func TestDeadLetterCommandsAreListed(t *testing.T) {
	table, _ := threeLetters(t)
	for method, want := range map[string]string{
		"evi:dead_letters":       `[[],["event"],["event","socket"],["letter"],["after"],["event","after"],["event","socket","after"]]`,
		"evi:dead_letter_replay": `[[],["event"],["event","socket"],["letter"]]`,
		"evi:dead_letter_purge":  `[[],["event"],["event","socket"],["letter"]]`,
	} {
		if got := call(t, table, "which", `["`+method+`"]`); got != want {
			t.Errorf("which %s: got %s", method, got)
		}
	}
}
