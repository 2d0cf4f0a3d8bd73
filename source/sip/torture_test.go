package sip_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/evid/evid/source/sip"
)

// torture is what becomes of each message of RFC 4475. What a server would have to
// understand to refuse it is the route's to look at: extensions, media types, credentials.
var torture = map[string]string{
	"badaspec": "OPTIONS", "badbranch": "OPTIONS", "baddate": "INVITE", "badinv01": "INVITE", "bext01": "OPTIONS",
	"cparam01": "REGISTER", "cparam02": "REGISTER", "dblreq": "REGISTER", "esc01": "INVITE", "esc02": "RE%47IST%45R",
	"escnull": "REGISTER", "escruri": "INVITE", "intmeth": "!interesting-Method0123456789_*+`.%indeed'~",
	"inv2543": "INVITE", "invut": "INVITE", "longreq": "INVITE", "lwsdisp": "OPTIONS", "mpart01": "MESSAGE",
	"regaut01": "REGISTER", "regbadct": "REGISTER", "regescrt": "REGISTER", "sdp01": "INVITE", "semiuri": "OPTIONS",
	"transports": "OPTIONS", "unkscm": "OPTIONS", "unksm2": "REGISTER", "wsinv": "INVITE", "zeromf": "OPTIONS",

	"baddn": "400", "clerr": "400", "ltgtruri": "400", "lwsruri": "400", "lwsstart": "400", "mcl01": "400",
	"mismatch01": "400", "mismatch02": "400", "multi01": "400", "ncl": "400", "novelsc": "400", "quotbal": "400",
	"scalar02": "400", "trws": "400", "badvers": "505",

	"bcast": "reply", "bigcode": "reply", "noreason": "reply", "scalarlg": "reply", "unreason": "reply",

	"insuf": "counted", "test": "counted", // they do not say whom to answer
}

func TestTorture(t *testing.T) {
	files, err := filepath.Glob("testdata/torture/*.dat")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".dat")
		names = append(names, name)
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got := treated(data); got != torture[name] {
				t.Errorf("%s, want %s", got, torture[name])
			}
		})
	}
	if want := slices.Sorted(maps.Keys(torture)); !slices.Equal(names, want) {
		t.Errorf("the files are %v, want %v", names, want)
	}
}

// treated is what a server does with a datagram: the method of what the handler gets, the
// code of a reply that it sends itself, or what it counts.
func treated(data []byte) string {
	method, reply, stats := sip.Treat(data)
	switch {
	case stats.Requests > 0:
		return method
	case stats.Replied > 0:
		var code int
		_, _ = fmt.Sscanf(reply, "SIP/2.0 %d", &code)
		return fmt.Sprint(code)
	case stats.Replies > 0:
		return "reply"
	case stats.Malformed > 0:
		return "counted"
	default:
		return "lost"
	}
}

// Some values that are easily got wrong.
func TestTortureValues(t *testing.T) {
	for _, test := range []struct {
		file string
		get  func(r *sip.Request) string
		want string
	}{
		{"wsinv", func(r *sip.Request) string { return r.To().URI }, "sip:vivekg@chair-dnrc.example.com"},
		{"wsinv", func(r *sip.Request) string { return r.To().Tag }, "1918181833n"},
		{"wsinv", (*sip.Request).CSeq, "0009"},
		{"wsinv", func(r *sip.Request) string { c, _ := r.Contact(0); return c }, `"Quoted string \"\"" <sip:jdrosen@example.com> ; newparam = newvalue ; secondparam ; q = 0.33`},
		{"esc01", func(r *sip.Request) string { return r.URI().User() }, "sips%3Auser%40example.com"},
		{"semiuri", func(r *sip.Request) string { return r.URI().User() }, "user;par=u%40example.net"},
		{"intmeth", func(r *sip.Request) string { return r.URI().User() }, "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"},
		{"unkscm", func(r *sip.Request) string { return r.URI().User() + r.URI().Domain() }, ""},
		{"longreq", func(r *sip.Request) string { h, _ := r.Header("v", 1); return h[:28] }, "SIP/2.0/TCP sip32.example.co"},
	} {
		data, err := os.ReadFile("testdata/torture/" + test.file + ".dat")
		if err != nil {
			t.Fatal(err)
		}
		r, err := sip.ParseRequest(data, anyone, sip.UDP)
		if err != nil {
			t.Errorf("%s: %v", test.file, err)
			continue
		}
		if got := test.get(r); got != test.want {
			t.Errorf("%s: %q, want %q", test.file, got, test.want)
		}
	}
}
