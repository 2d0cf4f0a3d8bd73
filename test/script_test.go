package test_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid/internal/daemon"
	"github.com/evid/evid/internal/daemon/daemontest"
)

// The configuration that the captures of scripts were made with.
const referenceConfig = "../script/testdata/opensips.cfg"

// TestCheckReference: of a configuration of OpenSIPS evid reports what it does not have,
// each with the reason, and nothing else.
func TestCheckReference(t *testing.T) {
	report := daemon.Check(daemon.Options{ConfigFile: referenceConfig})
	got := strings.ReplaceAll(fmt.Sprintln(report.Err), referenceConfig+":", "line ")
	const file = "testdata/opensips.check"
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// A scriptCase is a case of the reference's route: a capture, and what the body of the SIP
// request was.
type scriptCase struct{ capture, route, body string }

// scriptCases are the cases whose captures there are, under the names of the captures.
func scriptCases() []scriptCase {
	cases := []scriptCase{
		{"body_xmlchars", "body", "a<b&c>d\"e'f]]>&amp;"},
		{"body_utf8", "body", "Ünïcødé \u2603 \U0001F600"},
		{"body_badutf8", "body", "x\xff\xfe\xc3(y"},
		{"body_nul", "body", "ab\x00cd"},
		{"body_crlfxml", "body", "</string></value></param><param><value><string>injected"},
		{"big-8124", "body", strings.Repeat("A", 8124)},
		{"big-8073", "body", strings.Repeat("A", 8073)},
	}
	for _, name := range []string{
		"noparams", "named_str", "named_int", "named_int0", "named_intmax", "named_negint", "unnamed_several",
		"named_several", "too_many_attrs",
	} {
		cases = append(cases, scriptCase{name, name, ""})
	}
	return cases
}

var caseBody = regexp.MustCompile(`(?s)case "(\w+)":\n(.*?)\t\tbreak;\n`)

// referenceRoutes makes a route[name] of each case of the reference's route. What that read
// from the SIP request is the first parameter.
func referenceRoutes(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(referenceConfig)
	if err != nil {
		t.Fatal(err)
	}
	var routes strings.Builder
	for _, c := range caseBody.FindAllStringSubmatch(string(text), -1) {
		body := strings.ReplaceAll(c[2], "$rb", "$param(1)")
		fmt.Fprintf(&routes, "route[%s] {\n\t\t$avp(attr) = NULL; $avp(val) = NULL;\n%s}\n", c[1], body)
	}
	return routes.String()
}

// TestScriptCaptures: the scripts of the reference send what it sent.
func TestScriptCaptures(t *testing.T) {
	routes := referenceRoutes(t)
	for _, structParam := range []string{"0", "1"} {
		d := daemontest.Start(t, "modparam(\"event_xmlrpc\", \"use_struct_param\", "+structParam+")\n"+routes)
		l := listen(t)
		d.Subscribe("E_TEST", fmt.Sprintf("xmlrpc:%s:block_ip;captured=1", l.Addr()))
		for _, c := range scriptCases() {
			file := filepath.Join(capturesDir, "struct"+structParam+"-"+c.capture+".http")
			if _, err := os.Stat(file); err != nil {
				continue // it was captured in one form only
			}
			t.Run("struct"+structParam+"-"+c.capture, func(t *testing.T) {
				d.RunRoute(c.route, c.body)
				want := readCapture(t, file)
				if e, ok := exceptions[c.capture]; ok {
					want = strings.Replace(want, e.captured, e.sent, 1)
				}
				compareCapture(t, want, accept(t, l))
			})
		}
	}
}

// TestScriptRefusals: what the reference did not send, and logged.
func TestScriptRefusals(t *testing.T) {
	d := daemontest.Start(t, referenceRoutes(t))
	l := listen(t)
	d.Subscribe("E_TEST", fmt.Sprintf("xmlrpc:%s:block_ip;captured=1", l.Addr()))
	for _, name := range []string{"missing_attr", "int_attr"} {
		d.RunRoute(name)
		if want := `level=ERROR msg="RAISE-FALSE ` + name + `"`; !strings.Contains(d.Log.String(), want) {
			t.Errorf("log:\n%s\nwant %s", d.Log, want)
		}
	}
	if n := d.Statistics()["raised"]; n != 0 {
		t.Errorf("%d events were raised", n)
	}
}

// TestEventRouteCapture: the log lines of the reference's event route, and how it is listed.
func TestEventRouteCapture(t *testing.T) {
	d := daemontest.Start(t, referenceRoutes(t)+`
event_route[E_TEST] {
	xlog("L_ERR", "ROUTE key=$param(key) num=$param(num) 1=$param(1)\n");
}`)
	d.RunRoute("named_str")
	d.RunRoute("named_int")
	d.Logged(`level=ERROR msg="ROUTE key=one string num=<null> 1=one string"`)
	d.Logged(`level=ERROR msg="ROUTE key=<null> num=42 1=42"`)
	got := string(d.Call("subscribers_list", []any{"E_TEST"}))
	if want := `"Subscribers":[{"socket":"route:E_TEST","expire":"never"}]`; !strings.Contains(got, want) {
		t.Errorf("subscribers_list: %s, want %s", got, want)
	}
}

// TestStartupAndTimerCaptures: what the startup route and the timer route of the reference
// sent. The second run of the timer's subscribe_event failed there, by a bug.
func TestStartupAndTimerCaptures(t *testing.T) {
	l := listen(t)
	d := daemontest.Start(t, strings.ReplaceAll(`
startup_route {
	subscribe_event("E_CUSTOM", "xmlrpc:ADDR:custom;captured=1");
	$avp(name) = "start"; $avp(value) = 1;
	$avp(name) = "who"; $avp(value) = "startup";
	raise_event("E_CUSTOM", $avp(name), $avp(value));
}
timer_route[custom, 1] {
	$avp(value) = "unnamed";
	raise_event("E_CUSTOM", , $avp(value));
}
timer_route[tick, 1] {
	if (!subscribe_event("E_TICK", "xmlrpc:127.0.0.1:1:m", 5))
		xlog("L_ERR", "SUB-FALSE\n");
	$avp(v) = 1;
	if (!raise_event("E_TICK", , $avp(v)))
		xlog("L_ERR", "RAISE-FALSE tick\n");
}`, "ADDR", l.Addr().String()))
	compareCapture(t, readCapture(t, "testdata/script-startup/startup_route.http"), accept(t, l))
	compareCapture(t, readCapture(t, "testdata/script-startup/timer_route-1.http"), accept(t, l))
	d.Until("tick has run twice", func(s map[string]uint64) bool { return s["raised"] >= 5 })
	got := string(d.Call("subscribers_list", []any{"E_TICK"}))
	if n := strings.Count(got, `{"socket":"xmlrpc:127.0.0.1:1:m","expire":5,`); n != 1 {
		t.Errorf("subscribers_list: %s, want one that expires after 5 s", got)
	}
	if log := d.Log.String(); strings.Contains(log, "-FALSE") {
		t.Errorf("log:\n%s", log)
	}
}

// TestReloadRoutes: routes that are loaded anew take the place of the others, or nothing
// changes.
func TestReloadRoutes(t *testing.T) {
	config := filepath.Join(t.TempDir(), "evid.cfg")
	write := func(routes string) {
		if err := os.WriteFile(config, []byte(daemontest.Config+daemontest.Dir(t.TempDir())+routes), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`event_route[E_TEST] { xlog("L_ERR", "first $param(1)"); }`)
	d := daemontest.StartFile(t, config)
	d.Call("raise_event", []any{"E_TEST", []any{"a"}})
	d.Logged(`msg="first a"`)

	write(`event_route[E_TEST] { nope(); }`)
	refusal := d.Refused("reload_routes", nil)
	if refusal.Code != 500 || !strings.Contains(refusal.Error(), "unknown function nope") {
		t.Errorf("refused with %v", refusal)
	}
	d.Call("raise_event", []any{"E_TEST", []any{"b"}})
	d.Logged(`msg="first b"`)

	write(`event_route[E_TEST, sync] { xlog("L_ERR", "second $param(1)"); } event_route[E_NEW] { xlog("L_ERR", "new $param(1)"); }`)
	d.Call("reload_routes", nil)
	d.Call("raise_event", []any{"E_TEST", []any{"c"}})
	if !strings.Contains(d.Log.String(), `msg="second c"`) {
		t.Error("the route is sync now, and the raise did not wait for it")
	}
	d.Call("raise_event", []any{"E_NEW", []any{"d"}})
	d.Logged(`msg="new d"`)

	write("")
	d.Call("reload_routes", nil)
	if refusal := d.Refused("raise_event", []any{"E_TEST", []any{"e"}}); refusal.Code != 480 {
		t.Errorf("without its route an event is refused with %v", refusal)
	}
	if got := string(d.Call("subscribers_list", nil)); got != `{"Events":[]}` {
		t.Errorf("subscribers_list: %s", got)
	}
}

// TestScriptFollows: after a restart the subscriptions of the script are those of the new
// one, and what waited is not lost.
func TestScriptFollows(t *testing.T) {
	l := listen(t)
	queue := daemontest.Dir(t.TempDir())
	start := func(routes string) *daemontest.Daemon {
		t.Helper()
		config := filepath.Join(t.TempDir(), "evid.cfg")
		text := daemontest.Config + "log_level=2\n" + queue + strings.ReplaceAll(routes, "ADDR", l.Addr().String())
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return daemontest.StartFile(t, config)
	}
	const gone = "xmlrpc:127.0.0.1:1:gone"
	d := start(`startup_route {
		subscribe_event("E_TEST", "` + gone + `");
		subscribe_event("E_TEST", "xmlrpc:ADDR:stays;captured=1");
	}
	event_route[E_OLD] { xlog("L_ERR", "never"); }`)
	d.Call("raise_event", []any{"E_TEST", []any{"a"}})
	accept(t, l)
	d.Stop()
	d = start(`startup_route { subscribe_event("E_TEST", "xmlrpc:ADDR:stays;captured=1"); }`)
	d.Call("raise_event", []any{"E_TEST", []any{"b"}})
	if request := accept(t, l); !strings.Contains(request, "<string>b</string>") {
		t.Errorf("got %s", request)
	}
	if got := string(d.Call("subscribers_list", nil)); strings.Contains(got, gone) || strings.Contains(got, "E_OLD") {
		t.Errorf("subscribers_list: %s", got)
	}
	d.Logged("the script does not have it any more")
}
