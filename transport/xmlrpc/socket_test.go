package xmlrpc

import (
	"cmp"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/evid/evid"
	"github.com/evid/evid/modparam"
)

func newTransports(t testing.TB, change func(*Params)) *Transports {
	t.Helper()
	params := DefaultParams()
	if change != nil {
		change(&params)
	}
	transports, err := New(params)
	if err != nil {
		t.Fatal(err)
	}
	return transports
}

func parseSocket(t testing.TB, addr string) *socket {
	t.Helper()
	s, err := newTransports(t, nil).Schemes()[0].Parse(addr)
	if err != nil {
		t.Fatalf("Parse(%q): %v", addr, err)
	}
	return s.(*socket)
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		addr             string
		key, host, start string // the identity, the Host field, the request line
		prints           string // empty: as it was given
	}{
		{"127.0.0.1:8081:block_ip", "127.0.0.1:8081/RPC2:block_ip", "127.0.0.1:8081", "POST /RPC2 HTTP/1.1", ""},
		{"Localhost:8081:Meth", "localhost:8081/RPC2:Meth", "Localhost:8081", "POST /RPC2 HTTP/1.1", ""},
		{"127.0.0.1:8081/some/path:meth", "127.0.0.1:8081/some/path:meth", "127.0.0.1:8081", "POST /some/path HTTP/1.1", ""},
		{"127.0.0.1:8081/RPC2:meth", "127.0.0.1:8081/RPC2:meth", "127.0.0.1:8081", "POST /RPC2 HTTP/1.1", "127.0.0.1:8081:meth"},
		{"127.0.0.1:8081/a:b:c", "127.0.0.1:8081/a:b:c", "127.0.0.1:8081", "POST /a HTTP/1.1", ""},
		{"127.0.0.1:8081:b/c", "127.0.0.1:8081/RPC2:b/c", "127.0.0.1:8081", "POST /RPC2 HTTP/1.1", ""},
		{"127.0.0.1:8081/p?q=1&r=2:m", "127.0.0.1:8081/p?q=1&r=2:m", "127.0.0.1:8081", "POST /p?q=1&r=2 HTTP/1.1", ""},
		{"127.0.0.1:8081/:m", "127.0.0.1:8081/:m", "127.0.0.1:8081", "POST / HTTP/1.1", ""},
		{"127.0.0.1:8081:m<&>", "127.0.0.1:8081/RPC2:m<&>", "127.0.0.1:8081", "POST /RPC2 HTTP/1.1", ""},
		{"127.0.0.1:8081:größe", "127.0.0.1:8081/RPC2:größe", "127.0.0.1:8081", "POST /RPC2 HTTP/1.1", ""},
		{"[::1]:8081:m", "[::1]:8081/RPC2:m", "[::1]:8081", "POST /RPC2 HTTP/1.1", ""},
		{"[2001:DB8:0:0:0::1]:8081/p:m", "[2001:db8::1]:8081/p:m", "[2001:db8::1]:8081", "POST /p HTTP/1.1", "[2001:db8::1]:8081/p:m"},
		{"[fe80::1%eth0]:8081:m", "[fe80::1%eth0]:8081/RPC2:m", "[fe80::1]:8081", "POST /RPC2 HTTP/1.1", ""},
		{"a-b_c.example:1:m", "a-b_c.example:1/RPC2:m", "a-b_c.example:1", "POST /RPC2 HTTP/1.1", ""},
		{"h:65535:m;timeout=500;confirm=0", "h:65535/RPC2:m", "h:65535", "POST /RPC2 HTTP/1.1", ""},
		{"no.such.host.invalid:8081:m", "no.such.host.invalid:8081/RPC2:m", "no.such.host.invalid:8081", "POST /RPC2 HTTP/1.1", ""},
	} {
		s := parseSocket(t, test.addr)
		if got, want := s.Key(), "xmlrpc:"+test.key; got != want {
			t.Errorf("key of %q is %q, want %q", test.addr, got, want)
		}
		if got, want := s.String(), "xmlrpc:"+cmp.Or(test.prints, test.addr); got != want {
			t.Errorf("%q prints as %q, want %q", test.addr, got, want)
		}
		if want := test.start + "\r\nHost: " + test.host + "\r\n"; !strings.HasPrefix(string(s.appendHead(nil, 0)), want) {
			t.Errorf("request for %q begins %q, want %q", test.addr, s.appendHead(nil, 0), want)
		}
	}
}

// Every socket that golden/xmlrpc-sockets/INDEX.md shows refused is refused, but
// for those that docs/differences.md lists; and others that make no sense.
func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ addr, want string }{
		{"127.0.0.1:041629:meth", `port "041629": expected a number from 1 to 65535`},
		{"127.0.0.1:41629", "method: expected host:port:method"},
		{"127.0.0.1:41629:", "method: expected host:port:method"},
		{"127.0.0.1", "port: expected host:port:method"},
		{"", "host: expected a name, an IPv4 address or an [IPv6 address]"},
		{":41629:m", "host: expected a name, an IPv4 address or an [IPv6 address]"},
		{"127.0.0.1:0:m", `port "0": expected a number from 1 to 65535`},
		{"127.0.0.1:70000:m", `port "70000": expected a number from 1 to 65535`}, // the reference takes it as 4464
		{"127.0.0.1:65536:m", `port "65536": expected a number from 1 to 65535`},
		{"127.0.0.1:abc:m", `port "abc": expected a number from 1 to 65535`},
		{"127.0.0.1:-1:m", `port "-1": expected a number from 1 to 65535`},
		{"127.0.0.1:+1:m", `port "+1": expected a number from 1 to 65535`},
		{"127.0.0.1:41629x:m", `port "41629x": expected a number from 1 to 65535`},
		{"127.0.0.1:x/41629:m", `port "x": expected a number from 1 to 65535`},
		{"127.0.0.1::m", `port "": expected a number from 1 to 65535`},
		{"::1:41629:m", "host: expected a name, an IPv4 address or an [IPv6 address]"},
		{" 127.0.0.1:41629:m", `host " 127.0.0.1": expected a name, an IPv4 address or an [IPv6 address]`},
		{"127.0.0.1:41629/path", "method: expected host:port:method"},
		{"127.0.0.1:41629/path:", "method: expected host:port:method"},
		{"127.0.0.1:41629/p q:m", `path "/p q": expected printable ASCII without blanks`},
		{"127.0.0.1:41629/p\r\nX: y:m", `path "/p\r\nX": expected printable ASCII without blanks`},
		{"127.0.0.1:41629/pö:m", `path "/pö": expected printable ASCII without blanks`},
		{"127.0.0.1:41629: m x", `method " m x": expected no blanks and no control characters`},
		{"127.0.0.1:41629:m\x01", `method "m\x01": expected no blanks and no control characters`},
		{"127.0.0.1:41629:m\xff", `method "m\xff": expected UTF-8`},
		{"user@host:41629:m", `host "user@host": expected a name, an IPv4 address or an [IPv6 address]`},
		{"//127.0.0.1:41629:m", `host "//127.0.0.1": expected a name, an IPv4 address or an [IPv6 address]`},
		{"[::1]41629:m", `host "[::1]41629:m": expected [IPv6 address]:port`},
		{"[127.0.0.1]:1:m", `host "[127.0.0.1]:1:m": expected [IPv6 address]:port`},
		{"[::1", `host "[::1": expected [IPv6 address]:port`},
		{"[fe80::1%a b]:1:m", `host "[fe80::1%a b]:1:m": expected [IPv6 address]:port`},
		{"h:1:m;captured=1;confirm=1", "options: captured=1 means confirm=0"},
		{"h:1:m;keepalive=1;confirm=0", "options: confirm=0 means keepalive=0"},
		{"h:1:m;multicall=1;confirm=0", "options: confirm=0 means multicall=0"},
		{"h:1:m;captured=1;multicall=1", "options: confirm=0 means multicall=0"},
		{"h:1:m;retry_min=61s", "options: retry_min: expected at most retry_max, 1m0s, got 1m1s"},
		{"h:1:m;retry_max=999", "options: retry_min: expected at most retry_max, 999ms, got 1s"},
		{"h:1:m;max_attempts=0", `option "max_attempts=0": max_attempts: expected an integer from 1 to 1000000, got "0"`},
		{"h:1:m;max_age=87601h", `option "max_age=87601h": max_age: expected milliseconds or a time with its unit, from 1ms to 87600h0m0s, got "87601h"`},
		{"h:1:m;connections=65", `option "connections=65": connections: expected an integer from 1 to 64, got "65"`},
		{"h:1:m;lane=mine", `option "lane=mine": lane: expected shared or own, got "mine"`},
		{"h:1:m;", "options: expected ;name=value"},
		{"h:1:m;confirm", `option "confirm": expected name=value`},
		{"h:1:m;timeout=0", `option "timeout=0": timeout: expected milliseconds or a time with its unit, from 1ms to 1h0m0s, got "0"`},
		{"h:1:m;timeout=x", `option "timeout=x": timeout: expected milliseconds or a time with its unit, from 1ms to 1h0m0s, got "x"`},
		{"h:1:m;big_int=i4", `option "big_int=i4": big_int: expected string or i8, got "i4"`},
		{"h:1:m;retry_faults=a", `option "retry_faults=a": retry_faults: expected integers with commas between, got "a"`},
		{"h:1:m;user_agent=a\r\nb", `option "user_agent=a\r\nb": user_agent: expected printable ASCII, got "a\r\nb"`},
		{"h:1:m;tls_ca=/etc/passwd", `option "tls_ca=/etc/passwd": expected one of struct, use_struct_param, sync_mode, keepalive, confirm, captured, ` +
			`multicall, timeout, connect_timeout, retry_faults, max_attempts, max_age, retry_min, retry_max, lane, connections, ` +
			`big_int, event_id, user_agent, tls_verify`},
		{"h:1:" + strings.Repeat("m", maxSocketLen), "expected at most 2048 bytes, got 2052"},
	} {
		s, err := newTransports(t, nil).Schemes()[0].Parse(test.addr)
		if err == nil || err.Error() != test.want {
			t.Errorf("Parse(%q): %v, want %s", test.addr, err, test.want)
		}
		if s != nil {
			t.Errorf("Parse(%q) returned a socket with its error", test.addr)
		}
	}
}

// A socket can set for itself what the modparams set for all, by the same names.
func TestOptions(t *testing.T) {
	s := parseSocket(t, "h:1:m;struct=1;sync_mode=1;keepalive=0;timeout=250;connect_timeout=1s;"+
		"retry_faults=1,-2;big_int=i8;event_id=1;user_agent=Mine/1;tls_verify=0;multicall=0;"+
		"max_attempts=3;max_age=1h;retry_min=10;retry_max=2s;lane=own;connections=4")
	wantPolicy := evid.Policy{
		Sync: true, MaxAttempts: 3, MaxAge: time.Hour, RetryMin: 10 * time.Millisecond, RetryMax: 2 * time.Second,
		OwnLane: true, Connections: 4,
	}
	want := Options{
		Policy: wantPolicy, UseStructParam: true, Confirm: true,
		Timeout: 250 * time.Millisecond, ConnectTimeout: time.Second,
		RetryFaults: []int{1, -2}, BigInt: "i8", EventID: true, UserAgent: "Mine/1",
	}
	if diff := gocmp.Diff(want, s.opts.Options); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	if got := evid.PolicyOf(s); got != wantPolicy {
		t.Errorf("policy is %+v, want %+v", got, wantPolicy)
	}
	if got := evid.PolicyOf(parseSocket(t, "h:1:m")); got != evid.DefaultPolicy() {
		t.Errorf("policy without options is %+v, want that of sockets that have none", got)
	}

	params := DefaultParams()
	for _, set := range []struct{ name, text string }{{"timeout", "7s"}, {"use_struct_param", "1"}, {"retry_faults", "5"}} {
		if err := modparam.Assign(params.Modparams(), set.name, set.text, modparam.Either); err != nil {
			t.Fatal(err)
		}
	}
	all := newTransports(t, func(p *Params) { *p = params }).Schemes()[0]
	if _, err := all.Parse("h:1:m;timeout=1;retry_faults=6"); err != nil {
		t.Fatal(err)
	}
	if o := parseSocket(t, "h:1:m;captured=1").opts; o.Confirm || o.Keepalive || o.Multicall {
		t.Errorf("options of captured=1 are %+v", o.Options)
	}
	plain, err := all.Parse("h:1:m") // what one socket sets is nothing to another
	if err != nil {
		t.Fatal(err)
	}
	if o := plain.(*socket).opts; o.Timeout != 7*time.Second || !o.UseStructParam || len(o.RetryFaults) != 1 || o.RetryFaults[0] != 5 {
		t.Errorf("options from modparams are %+v", o.Options)
	}
}

func TestNewRefuses(t *testing.T) {
	params := DefaultParams()
	params.RetryMin = 2 * time.Minute
	const want = "retry_min: expected at most retry_max, 1m0s, got 2m0s"
	if _, err := New(params); err == nil || err.Error() != want {
		t.Errorf("New: %v, want %s", err, want)
	}
}

// What one connection depends on makes a lane, the rest does not.
func TestLaneNames(t *testing.T) {
	transport := newTransports(t, nil).Schemes()[0]
	lane := func(addr string) string {
		s, err := transport.Parse(addr)
		if err != nil {
			t.Fatal(err)
		}
		return transport.Lane(s)
	}
	base := lane("h:1:m")
	for _, same := range []string{"H:1:other", "h:1/path:m", "h:1:m;timeout=1", "h:1:m;struct=1;event_id=1", "h:1:m;multicall=0;connections=3;lane=own"} {
		if lane(same) != base {
			t.Errorf("%q has lane %q, want %q", same, lane(same), base)
		}
	}
	for _, other := range []string{"h:2:m", "g:1:m", "h:1:m;keepalive=0", "h:1:m;confirm=0", "h:1:m;tls_verify=0"} {
		if lane(other) == base {
			t.Errorf("%q has lane %q too", other, base)
		}
	}
	for addr, want := range map[string]string{
		"H:1:m":                                     "xmlrpc:h:1",
		"[::1]:1/p:m;keepalive=0":                   "xmlrpc:[::1]:1 keepalive=0",
		"h:1:m;tls_verify=0":                        "xmlrpc:h:1 verify=0",
		"h:1:m;keepalive=0;tls_verify=0":            "xmlrpc:h:1 keepalive=0 verify=0",
		"h:1:m;keepalive=1;tls_verify=1":            "xmlrpc:h:1",
		"h:1:m;lane=own;connections=3;tls_verify=0": "xmlrpc:h:1 verify=0",
	} {
		if got := lane(addr); got != want {
			t.Errorf("%q has lane %q, want %q", addr, got, want)
		}
	}
}

// A lane without options is looked up for each subscription: its name is a part of
// what is there already.
func TestLaneNameAllocates(t *testing.T) {
	s := parseSocket(t, "127.0.0.1:8081/path:m;timeout=5;lane=own")
	if n := testing.AllocsPerRun(100, func() { s.lane() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"127.0.0.1:8081:m", "[::1]:1/p:m;timeout=5", "h:1:m;retry_faults=1,2;struct=1", "h:1/a:b:c", ":::"} {
		f.Add(seed)
	}
	transport := newTransports(f, nil).Schemes()[0]
	f.Fuzz(func(t *testing.T, addr string) {
		s, err := transport.Parse(addr)
		if err != nil {
			return
		}
		again, err := transport.Parse(strings.TrimPrefix(s.String(), "xmlrpc:"))
		if err != nil || again.Key() != s.Key() {
			t.Errorf("%q prints as %q, which is %v, %v", addr, s, again, err)
		}
		if head := string(s.(*socket).appendHead(nil, 0)); strings.Contains(head, "\x00") || strings.Count(head, "\r\n") > 5 {
			t.Errorf("request of %q: %q", addr, head)
		}
	})
}
