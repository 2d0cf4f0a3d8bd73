package sipreq_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/evid/evid/script"
	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/sipreq"
	"github.com/evid/evid/source/sip"
)

// compile compiles a script. Its function show(text) adds a line to shown.
func compile(t *testing.T, text string, log *slog.Logger, shown *[]string) *program.Program {
	t.Helper()
	file, err := script.Parse("evid.cfg", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	library := sipreq.Library()
	library.Functions = append(library.Functions, program.Function{
		Name: "show", Params: []program.Param{{Name: "text"}},
		Bind: func(b *program.Binding) (program.Call, error) {
			value := b.Value(0)
			return func(r *program.Run) (int64, error) {
				*shown = append(*shown, string(value(r).Append(nil)))
				return program.True, nil
			}, nil
		},
	})
	p, _, errs := program.Compile(file, program.Options{
		Library: library, Loaded: []string{sipreq.SL, sipreq.Signaling, sipreq.Sipmsgops}, Log: log, MaxWhileLoops: 100,
	})
	if errs != nil {
		t.Fatal(errs)
	}
	return p
}

func message(lines ...string) []byte { return []byte(strings.Join(lines, "\r\n")) }

func invite() []byte {
	return message(
		"INVITE sip:bob@example.com:5080;x=1 SIP/2.0",
		"Via: SIP/2.0/UDP client.example.com;rport;branch=z9hG4bK1",
		"From: Alice <sip:alice@example.org;user=phone>;tag=a1",
		"To: <sip:bob@[2001:db8::1]>;tag=b1",
		"Call-ID: call@1", "CSeq: 12 INVITE",
		"Contact: <sip:alice@192.0.2.1>, <sip:alice@192.0.2.2>;q=0.1",
		"X-One: first", "x-one: second",
		"User-Agent: Phone 1.0", "Content-Type: application/sdp", "Content-Length: 3", "", "v=0",
	)
}

func bare() []byte {
	return message(
		"OPTIONS sip:example.com SIP/2.0", "Via: SIP/2.0/UDP a", "From: <sip:example.org>", "To: <tel:+49>",
		"Call-ID: 1", "CSeq: 1 OPTIONS", "", "",
	)
}

var source = netip.MustParseAddrPort("192.0.2.7:5070")

// wrapped is a request of a source that knows more of it.
type wrapped struct {
	*sip.Request
}

// address is a request that is none of SIP.
type address struct{}

func (address) Source() netip.AddrPort { return source }

func TestVariables(t *testing.T) {
	for _, test := range []struct{ name, invite, bare, none string }{
		{"$rm", "INVITE", "OPTIONS", "<null>"},
		{"$ru", "sip:bob@example.com:5080;x=1", "sip:example.com", "<null>"},
		{"$rU", "bob", "<null>", "<null>"},
		{"$rd", "example.com", "example.com", "<null>"},
		{"$fu", "sip:alice@example.org;user=phone", "sip:example.org", "<null>"},
		{"$fU", "alice", "<null>", "<null>"},
		{"$fd", "example.org", "example.org", "<null>"},
		{"$ft", "a1", "<null>", "<null>"},
		{"$tu", "sip:bob@[2001:db8::1]", "tel:+49", "<null>"},
		{"$tU", "bob", "+49", "<null>"},
		{"$td", "[2001:db8::1]", "<null>", "<null>"},
		{"$tt", "b1", "<null>", "<null>"},
		{"$ci", "call@1", "1", "<null>"},
		{"$cs", "12", "1", "<null>"},
		{"$si", "192.0.2.7", "192.0.2.7", "<null>"},
		{"$sp", "5070", "5070", "<null>"},
		{"$proto", "udp", "udp", "<null>"},
		{"$ua", "Phone 1.0", "<null>", "<null>"},
		{"$rb", "v=0", "<null>", "<null>"},
		{"$mb", string(invite()), string(bare()), "<null>"},
		{"$ml", strconv.Itoa(len(invite())), strconv.Itoa(len(bare())), "<null>"},
		{"$ct", "<sip:alice@192.0.2.1>", "<null>", "<null>"},
		{"$(ct[1])", "<sip:alice@192.0.2.2>;q=0.1", "<null>", "<null>"},
		{"$(ct[-2])", "<sip:alice@192.0.2.1>", "<null>", "<null>"},
		{"$(ct[*])", "<sip:alice@192.0.2.1>, <sip:alice@192.0.2.2>;q=0.1", "<null>", "<null>"},
		{"$hdr(X-One)", "first", "<null>", "<null>"},
		{"$(hdr(x-one)[1])", "second", "<null>", "<null>"},
		{"$(hdr(x-one)[-1])", "second", "<null>", "<null>"},
		{"$(hdr(x-one)[2])", "<null>", "<null>", "<null>"},
		{"$(hdr(x-one)[*])", "first, second", "<null>", "<null>"},
		{"$(hdr(x-one)[$var(one)])", "second", "<null>", "<null>"},
		{"$hdr(i)", "call@1", "1", "<null>"},
		{"$(hdr(X-One)[1]{s.len})", "6", "<null>", "<null>"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var shown []string
			var logged bytes.Buffer
			log := slog.New(slog.NewTextHandler(&logged, nil))
			p := compile(t, `route { $var(one) = 1; show("`+test.name+`"); } route[none] { $var(one) = 1; show("`+test.name+`"); }`, log, &shown)
			for _, data := range [][]byte{invite(), bare()} {
				r, err := sip.ParseRequest(data, source, sip.UDP)
				if err != nil {
					t.Fatal(err)
				}
				for _, request := range []program.Request{r, wrapped{r}} {
					if err := p.RunRequest(t.Context(), request); err != nil {
						t.Fatal(err)
					}
				}
			}
			if _, err := p.RunRoute(t.Context(), "none", nil); err != nil {
				t.Fatal(err)
			}
			want := []string{test.invite, test.invite, test.bare, test.bare, test.none}
			if strings.Join(shown, "|") != strings.Join(want, "|") {
				t.Errorf("%q, want %q", shown, want)
			}
			if logged.Len() > 0 {
				t.Errorf("logged %s", &logged)
			}
		})
	}
}

func TestSourceOfAnyRequest(t *testing.T) {
	var shown []string
	p := compile(t, `route { show("$si $sp $proto $rm"); }`, slog.New(slog.DiscardHandler), &shown)
	if err := p.RunRequest(t.Context(), address{}); err != nil {
		t.Fatal(err)
	}
	if want := "192.0.2.7 5070 <null> <null>"; shown[0] != want {
		t.Errorf("%q, want %q", shown[0], want)
	}
}

func TestConditions(t *testing.T) {
	for condition, want := range map[string]string{
		`is_method("INVITE")`:                 "yes no",
		`is_method("options | Invite")`:       "yes yes",
		`is_method("BYE")`:                    "no no",
		`is_present_hf("x-one")`:              "yes no",
		`is_present_hf("m")`:                  "yes no",
		`is_present_hf("CALL-ID")`:            "yes yes",
		`has_body()`:                          "yes no",
		`has_body("application/sdp")`:         "yes no",
		`has_body_part("text/plain")`:         "no no",
		`$rU != NULL && $hdr(X-One)=="first"`: "yes no",
	} {
		t.Run(condition, func(t *testing.T) {
			var shown []string
			p := compile(t, `route { if (`+condition+`) show("yes"); else show("no"); }`, slog.New(slog.DiscardHandler), &shown)
			for _, data := range [][]byte{invite(), bare()} {
				r, err := sip.ParseRequest(data, source, sip.UDP)
				if err != nil {
					t.Fatal(err)
				}
				if err := p.RunRequest(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			if got := strings.Join(shown, " "); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

// Each of them logs why it fails, and the route goes on.
func TestFunctionsThatFail(t *testing.T) {
	r, err := sip.ParseRequest(invite(), source, sip.UDP)
	if err != nil {
		t.Fatal(err)
	}
	const silent = "silent" // there is nobody to reply to, which is no mistake
	for call, want := range map[string]struct{ captured, none string }{
		`sl_send_reply(200, "OK")`:     {silent, "no request is at hand"},
		`send_reply(200, "OK")`:        {silent, "no request is at hand"},
		`append_to_reply("no header")`: {"expected a header", "no request is at hand"},
		`is_method("INVITE")`:          {"", "no request is at hand"},
		`has_body()`:                   {"", "no request is at hand"},
	} {
		t.Run(call, func(t *testing.T) {
			var shown []string
			var logged bytes.Buffer
			p := compile(t, `route { if (!`+call+`) show("false"); } route[none] { if (!`+call+`) show("false"); }`,
				slog.New(slog.NewTextHandler(&logged, nil)), &shown)
			check := func(want string) {
				t.Helper()
				told := strings.Contains(logged.String(), want)
				if want == silent {
					told = logged.Len() == 0
				}
				if (len(shown) > 0) != (want != "") || !told {
					t.Errorf("%v, logged %q, want %q", shown, &logged, want)
				}
				shown = nil
				logged.Reset()
			}
			if err := p.RunRequest(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			check(want.captured)
			if _, err := p.RunRoute(t.Context(), "none", nil); err != nil {
				t.Fatal(err)
			}
			check(want.none)
		})
	}
}

func TestErrorsOfTheScript(t *testing.T) {
	for text, want := range map[string]string{
		`is_method("INVITE|")`:         `expected methods, such as "INVITE|OPTIONS"`,
		`sl_send_reply("OK", "OK")`:    "an integer or a variable",
		`$var(x) = $hdr;`:              "expected $hdr(name of a header)",
		`$var(x) = $(rU[1]);`:          "$rU has one value, and no index",
		`$var(x) = $(hdr(a)[append]);`: "[append] is for assigning",
	} {
		file, err := script.Parse("evid.cfg", []byte("route { "+text+"; }"), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _, errs := program.Compile(file, program.Options{
			Library: sipreq.Library(), Loaded: []string{sipreq.SL, sipreq.Sipmsgops}, Log: slog.New(slog.DiscardHandler), MaxWhileLoops: 100,
		})
		if len(errs) != 1 || !strings.Contains(errs[0].Msg, want) {
			t.Errorf("%s: %v, want %s", text, errs, want)
		}
	}
}

// A route answers over the wire.
func TestReplies(t *testing.T) {
	var shown []string
	p := compile(t, `route {
		append_to_reply("X-Method: $rm\r\n");
		$var(code) = 486;
		if ($rU == "bob" && !sl_send_reply($var(code), "Busy $rU")) show("false");
		send_reply("200", "OK");
	}`, slog.New(slog.DiscardHandler), &shown)
	server, err := sip.New(sip.Options{
		Params: sip.DefaultParams(), Sockets: []sip.Socket{{Proto: sip.UDP, Addr: netip.MustParseAddrPort("127.0.0.1:0")}},
		Handler: func(ctx context.Context, r *sip.Request) {
			if err := p.RunRequest(ctx, r); err != nil {
				t.Error(err)
			}
		},
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", server.Sockets()[0].Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write(invite()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for _, want := range []string{"SIP/2.0 486 Busy bob\r\n", "SIP/2.0 200 OK\r\n"} {
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if reply := string(buf[:n]); !strings.HasPrefix(reply, want) || !strings.Contains(reply, "\r\nX-Method: INVITE\r\n") {
			t.Errorf("reply %q, want %q", reply, want)
		}
	}
	if err := server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if shown != nil {
		t.Error("the reply is not sent")
	}
}
