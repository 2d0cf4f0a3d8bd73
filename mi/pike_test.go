package mi_test

import (
	"bytes"
	"maps"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid/mi"
)

// A fakePike knows addresses, and whether they are blocked.
type fakePike map[netip.Addr]bool

func (p fakePike) Blocked() []netip.Addr {
	blocked := maps.Clone(p)
	maps.DeleteFunc(blocked, func(_ netip.Addr, blocked bool) bool { return !blocked })
	return slices.SortedFunc(maps.Keys(blocked), netip.Addr.Compare)
}

func (p fakePike) Unblock(addr netip.Addr) (known, blocked bool) {
	blocked, known = p[addr]
	if known {
		p[addr] = false
	}
	return known, blocked
}

// captured reads the body of a captured HTTP message.
func captured(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/pike/" + name)
	if err != nil {
		t.Fatal(err)
	}
	_, body, found := bytes.Cut(raw, []byte("\r\n\r\n"))
	if !found {
		t.Fatalf("%s has no body", name)
	}
	return body
}

// Requests that OpenSIPS 4.1 was sent get its replies, one after the other.
func TestCapturedPike(t *testing.T) {
	table, err := mi.NewTable(mi.PikeCommands(fakePike{netip.MustParseAddr("127.0.0.1"): true})...)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"pike-list-hot", "pike-rm-blocked", "pike-list-after-rm", "pike-rm-named", "pike-rm-namedIP", "pike-rm-unknown", "pike-rm-bad",
	} {
		request := captured(t, name+".req")
		got := string(table.ServeJSON(t.Context(), request))
		if diff := cmp.Diff(string(captured(t, name+".resp")), got); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", name, request, diff)
		}
	}
}

// Both names work, and IPv6 addresses, too.
func TestPike(t *testing.T) {
	table, err := mi.NewTable(mi.PikeCommands(fakePike{netip.MustParseAddr("2001:db8::1"): true, netip.MustParseAddr("192.0.2.1"): true})...)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ method, params, want string }{
		{"pike_list", `[]`, `{"IPs":["192.0.2.1","2001:db8::1"]}`},
		{"pike_rm", `["2001:0DB8:0::1"]`, `"OK"`},
		{"pike:list", `[]`, `{"IPs":["192.0.2.1"]}`},
		{"pike_rm", `[["192.0.2.1"]]`, `-32602`},
		{"pike:rm", `[]`, `-32602`},
	} {
		if got := call(t, table, step.method, step.params); got != step.want {
			t.Errorf("%s %s: %s, want %s", step.method, step.params, got, step.want)
		}
	}
}
