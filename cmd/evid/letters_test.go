package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pagedLetters is an MI that has these dead letters and lists two at a time. It
// returns its URL and what it was asked for.
func pagedLetters(t *testing.T, letters ...string) (url string, asked *[]map[string]string) {
	t.Helper()
	asked = new([]map[string]string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct {
			Method string
			Params map[string]string
			ID     json.RawMessage
		}
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil || call.Method != "dead_letters" {
			t.Errorf("got a call of %q, %v", call.Method, err)
		}
		*asked = append(*asked, call.Params)
		after, _ := strconv.Atoi(call.Params["after"]) // letter n is letters[n-1]
		left := letters[after:]
		fmt.Fprintf(w, `{"jsonrpc":"2.0","result":{"Dead letters":[%s],"total":%d},"id":%s}`,
			strings.Join(left[:min(2, len(left))], ","), len(left), call.ID)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

// lostLetter is the letter about what a subscriber has lost.
func lostLetter(number int) string {
	return fmt.Sprintf(`{"number":%d,"event":"E_X","socket":"xmlrpc:10.0.0.1:80:m","reason":"too far <behind>\r\n\u001b[2J",`+
		`"attempts":0,"first":"2026-11-23T22:04:05.000Z","last":"2026-11-23T22:04:06.234Z","count":40,"first_id":"0a","last_id":"0b"}`, number)
}

// stdoutOf carries out a command line that must succeed.
func stdoutOf(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(args, &console{&stdout, &stderr}); code != exitDone || stderr.Len() > 0 {
		t.Fatalf("evid %q: exit code %d: %s", args, code, &stderr)
	}
	return stdout.String()
}

// All pages are listed as if they were one.
func TestDeadLettersPages(t *testing.T) {
	for n := range 6 {
		var letters []string
		for i := range n {
			letters = append(letters, lostLetter(i+1))
		}
		url, asked := pagedLetters(t, letters...)
		want := fmt.Sprintf(`{"Dead letters":[%s],"total":%d}`+"\n", strings.Join(letters, ","), n)
		if diff := cmp.Diff(want, stdoutOf(t, "dead-letters", "E_X", "--mi", url, "-o", "json")); diff != "" {
			t.Errorf("%d letters (-want +got):\n%s", n, diff)
		}
		wantAsked := []map[string]string{{"event": "E_X"}}
		for after := 2; after < n; after += 2 {
			wantAsked = append(wantAsked, map[string]string{"event": "E_X", "after": strconv.Itoa(after)})
		}
		if diff := cmp.Diff(wantAsked, *asked); diff != "" {
			t.Errorf("%d letters: asked (-want +got):\n%s", n, diff)
		}
		table := strings.Split(stdoutOf(t, "dead-letters", "--mi", url), "\n")
		if len(table) != n+2 || !slices.IsSorted(table[1:n+1]) {
			t.Errorf("%d letters: got %q", n, table)
		}
	}
}

// A letter without events says so, and nothing in it acts upon the terminal.
func TestDeadLetterThatIsGone(t *testing.T) {
	url, _ := pagedLetters(t, lostLetter(1))
	const table = `LETTER  EVENT  SOCKET                COUNT  ATTEMPTS  LAST                      REASON
1       E_X    xmlrpc:10.0.0.1:80:m  40     0         2026-11-23T22:04:06.234Z  too far <behind>   [2J
`
	if diff := cmp.Diff(table, stdoutOf(t, "dead-letters", "--mi", url)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	const letter = `letter    1
event     E_X
events    40, which are gone
first id  0a
last id   0b
socket    xmlrpc:10.0.0.1:80:m
reason    too far <behind>   [2J
attempts  0
first     2026-11-23T22:04:05.000Z
last      2026-11-23T22:04:06.234Z
`
	if diff := cmp.Diff(letter, stdoutOf(t, "dead-letters", "--letter", "1", "--mi", url)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What the daemon cannot do is an error of the command.
func TestDeadLettersThatCannotBeRead(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct{ ID json.RawMessage }
		json.NewDecoder(r.Body).Decode(&call)
		fmt.Fprintf(w, `{"jsonrpc":"2.0","error":{"code":500,"message":"Cannot Do It","data":"read letters: disk full"},"id":%s}`, call.ID)
	}))
	t.Cleanup(server.Close)
	for command, want := range map[string]string{
		"dead-letters": "list dead letters",
		"replay":       "replay dead letters",
		"purge":        "purge dead letters",
	} {
		var stdout, stderr bytes.Buffer
		code := run([]string{command, "--mi", server.URL}, &console{&stdout, &stderr})
		if want := "evid: " + want + ": cannot do it (500): read letters: disk full\n"; code != exitFailed || stdout.Len() > 0 || stderr.String() != want {
			t.Errorf("%s: exit code %d, %q and %q, want %q", command, code, &stdout, &stderr, want)
		}
	}
}
