package spell

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNearest(t *testing.T) {
	known := []string{"timeout", "stats", "event_xmlrpc", "event_route", "retry", "retries", "mi_fifo", "ip"}
	long := strings.Repeat("x", maxLen+1)
	tests := []struct {
		name  string
		word  string
		known []string
		want  []string
	}{
		{"itself", "timeout", known, []string{"timeout"}},
		{"swapped letters", "tiemout", known, []string{"timeout"}},
		{"dropped letter", "event_xmlrp", known, []string{"event_xmlrpc"}},
		{"added letter", "mi_fiifo", known, []string{"mi_fifo"}},
		{"changed letter", "event-xmlrpc", known, []string{"event_xmlrpc"}},
		{"other case", "TimeOut", known, []string{"timeout"}},
		{"nearest first", "retri", known, []string{"retry", "retries"}},
		{"nothing near", "modparam", known, nil},
		{"too short to guess", "ig", known, nil},
		{"empty word", "", known, nil},
		{"nothing known", "timeout", nil, nil},
		{"at most three, sorted", "aaa", []string{"aad", "aac", "aab", "aae"}, []string{"aab", "aac", "aad"}},
		{"doubled name", "stat", []string{"stats", "stats"}, []string{"stats"}},
		{"letters of more than a byte", "größe", []string{"grösse", "GRÖßE"}, []string{"GRÖßE", "grösse"}},
		{"no name is that long", long, []string{long}, nil},
		{"known name too long", "xxx", []string{long}, nil},
		{"as long as a name can be", long[1:], []string{long[1:]}, []string{long[1:]}},
		{"third of the letters dropped", "ab", []string{"abc"}, []string{"abc"}},
		{"more than a third dropped", "abc", []string{"abcde"}, nil},
		{"more than a third added", "abcde", []string{"abc"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Nearest(test.word, test.known)); diff != "" {
				t.Errorf("Nearest(%q) (-want +got):\n%s", test.word, diff)
			}
		})
	}
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"kitten", "sitting", 3},
		{"abcd", "abdc", 1},
		{"ca", "abc", 3}, // a swapped pair is not edited again
	}
	for _, test := range tests {
		if got := distance([]rune(test.a), []rune(test.b)); got != test.want {
			t.Errorf("distance(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
		if got := distance([]rune(test.b), []rune(test.a)); got != test.want {
			t.Errorf("distance(%q, %q) = %d, want %d", test.b, test.a, got, test.want)
		}
	}
}

func BenchmarkNearest(b *testing.B) {
	known := make([]string, 1000)
	for i := range known {
		known[i] = strings.Repeat("E_SOME_EVENT_", i%5) + "NAME"
	}
	for b.Loop() {
		Nearest("E_SOME_EVENT_E_SOME_EVENT_NAEM", known)
	}
}
