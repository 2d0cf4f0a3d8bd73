package test_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/daemon"
	"github.com/evid/evid/internal/daemon/daemontest"
	"github.com/evid/evid/internal/receiver"
	"github.com/evid/evid/modparam"
)

// The manual says what the code does.

func readDoc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// codeBlocks returns the blocks of a document that are in a language.
func codeBlocks(t *testing.T, doc, language string) []string {
	t.Helper()
	var blocks []string
	for _, after := range strings.Split(doc, "\n```"+language+"\n")[1:] {
		block, _, _ := strings.Cut(after, "```")
		blocks = append(blocks, block)
	}
	if blocks == nil {
		t.Fatalf("there is no example in %s", language)
	}
	return blocks
}

// section returns what stands under a heading, up to the next one.
func section(t *testing.T, doc, heading string) string {
	t.Helper()
	_, after, found := strings.Cut(doc, "\n"+heading+"\n")
	if !found {
		t.Fatalf("there is no %q", heading)
	}
	text, _, _ := strings.Cut(after, "\n#")
	return text
}

// tableRows returns the rows of a section's table that begin with code.
func tableRows(section string) string {
	var rows strings.Builder
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "| `") {
			rows.WriteString(line)
		}
	}
	return rows.String()
}

func paramRows(params []modparam.Param) string {
	var rows strings.Builder
	for _, p := range params {
		valueType := strings.NewReplacer("an ", "", "a ", "").Replace(p.Value.Type().String())
		value := "-"
		if p.Value.String() != "" {
			value = "`" + p.Value.String() + "`"
		}
		fmt.Fprintf(&rows, "| `%s` | %s | %s | %s |\n", p.Name, valueType, value, p.Usage)
	}
	return rows.String()
}

func TestDocsParameters(t *testing.T) {
	doc := readDoc(t, "configuration.md")
	schema := daemon.Schema()
	sections := map[string][]modparam.Param{"## Globals": schema.Globals}
	for _, m := range schema.Modules {
		sections["### Module "+m.Name] = m.Params
	}
	for heading, params := range sections {
		if diff := cmp.Diff(paramRows(params), tableRows(section(t, doc, heading))); diff != "" {
			t.Errorf("%s (-code +docs):\n%s", heading, diff)
		}
	}
}

func TestDocsConfigurations(t *testing.T) {
	for _, doc := range []string{"configuration.md", "queue.md", "script.md", "sip.md"} {
		for i, config := range codeBlocks(t, readDoc(t, doc), "cfg") {
			report := daemon.Check(daemon.Options{Config: config, Stderr: io.Discard})
			if report.Err != nil || report.Warnings != nil {
				t.Errorf("%s, example %d: %v %v", doc, i+1, report.Err, report.Warnings)
			}
		}
	}
}

var commandHeading = regexp.MustCompile("(?m)^### (`(\\S+)`, `(\\S+)`)$")

func TestDocsCommands(t *testing.T) {
	doc := readDoc(t, "mi.md")
	d := daemontest.Start(t, `loadmodule "ratelimit.so"
loadmodule "pike.so"`)
	var documented []string
	for _, heading := range commandHeading.FindAllStringSubmatch(doc, -1) {
		documented = append(documented, heading[2:]...)
		want := "\nCalled with " + callForms(t, d.Call("which", []string{heading[2]})) + ".\n"
		if text := section(t, doc, "### "+heading[1]); !strings.HasPrefix(text, want) {
			t.Errorf("%s: want it to begin with%s", heading[1], want)
		}
	}
	var known []string
	if err := json.Unmarshal(d.Call("which", nil), &known); err != nil {
		t.Fatal(err)
	}
	slices.Sort(known)
	slices.Sort(documented)
	if diff := cmp.Diff(known, documented); diff != "" {
		t.Errorf("commands (-code +docs):\n%s", diff)
	}
}

// callForms words what which tells about a command's parameters.
func callForms(t *testing.T, which json.RawMessage) string {
	t.Helper()
	var lists [][]string
	if err := json.Unmarshal(which, &lists); err != nil {
		t.Fatal(err)
	}
	forms := make([]string, len(lists))
	for i, names := range lists {
		forms[i] = "nothing"
		if len(names) > 0 {
			forms[i] = "`" + strings.Join(names, ", ") + "`"
		}
	}
	return strings.Join(forms, " or ")
}

var statisticRow = regexp.MustCompile("(?m)^\\| `(\\S+)` \\| (\\S+) \\|")

func TestDocsStatistics(t *testing.T) {
	documented := make(map[string]string)
	for _, group := range []string{"evi", "queue", "sip", "hep", "pike"} {
		for _, row := range statisticRow.FindAllStringSubmatch(section(t, readDoc(t, "mi.md"), "### Group "+group), -1) {
			documented[group+":"+row[1]] = row[2]
		}
	}
	d := daemontest.Start(t, `
socket=udp:127.0.0.1:0
socket=hep_udp:127.0.0.1:0
loadmodule "proto_udp.so"
loadmodule "proto_hep.so"
loadmodule "pike.so"
route { exit; }`)
	var known map[string]string
	if err := json.Unmarshal(d.Call("list_statistics", []any{[]string{"evi:", "queue:", "sip:", "hep:", "pike:"}}), &known); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(known, documented); diff != "" {
		t.Errorf("statistics (-code +docs):\n%s", diff)
	}
}

var (
	exchange = regexp.MustCompile(`(?m)^--> (.*)\n<-- (.*)$`)
	ttl      = regexp.MustCompile(`"ttl":\d+`)
)

// The requests of mi.md are answered as it says, in their order.
func TestDocsExchanges(t *testing.T) {
	d := daemontest.Start(t, `modparam("evi", "register", "E_PIKE_BLOCKED")
loadmodule "pike.so"
route[greet] { xlog("L_INFO", "Hello $param(1)"); }`)
	r := receiver.New(receiver.Options{Addr: "127.0.0.1:0"})
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	for _, block := range codeBlocks(t, readDoc(t, "mi.md"), "exchange") {
		block = strings.ReplaceAll(block, "127.0.0.1:8081", r.Addr())
		exchanges := exchange.FindAllStringSubmatch(block, -1)
		if 2*len(exchanges) != strings.Count(block, "\n") {
			t.Errorf("expected a --> and a <-- by turns in\n%s", block)
		}
		for _, e := range exchanges {
			got := ttl.ReplaceAllString(postMI(t, d.MIURL, e[1]), `"ttl":N`)
			if diff := cmp.Diff(ttl.ReplaceAllString(e[2], `"ttl":N`), got); diff != "" {
				t.Errorf("%s (-docs +code):\n%s", e[1], diff)
			}
		}
	}
}

func postMI(t *testing.T, url, request string) string {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(request))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(reply)
}

// The sockets of sockets.md can be subscribed.
func TestDocsSockets(t *testing.T) {
	d := daemontest.Start(t, "")
	sockets := 0
	for line := range strings.Lines(readDoc(t, "sockets.md")) {
		socket := strings.TrimSpace(line)
		if strings.HasPrefix(line, "    xmlrpc") && !strings.Contains(line, "HOST") {
			d.Subscribe("E_TEST", socket)
			sockets++
		}
	}
	if subscribers := d.Statistics()["subscribers"]; sockets == 0 || subscribers != uint64(sockets) {
		t.Errorf("%d sockets, %d subscribers", sockets, subscribers)
	}
}

var webhookID = regexp.MustCompile(`(?m)^Webhook-Id: [0-9a-f]{32}$`)

// A call is what sockets.md shows.
func TestDocsWire(t *testing.T) {
	doc := readDoc(t, "sockets.md")
	for structParam, want := range map[string]string{
		"1": strings.TrimSuffix(codeBlocks(t, doc, "http")[0], "\n"), // a call has no line end after it
		"0": codeBlocks(t, doc, "xml")[0],
	} {
		d := daemontest.Start(t, `modparam("evi", "register", "E_PIKE_BLOCKED")`)
		l := listen(t)
		d.Subscribe("E_PIKE_BLOCKED", "xmlrpc:"+l.Addr().String()+":block_ip;timeout=100;struct="+structParam)
		d.Raise("E_PIKE_BLOCKED", evid.String("ip", "192.168.2.11"))
		got := strings.ReplaceAll(accept(t, l), "\r\n", "\n")
		got = strings.Replace(got, l.Addr().String(), "127.0.0.1:8081", 1)
		got, want = webhookID.ReplaceAllString(got, "Webhook-Id: ID"), webhookID.ReplaceAllString(want, "Webhook-Id: ID")
		if !strings.Contains(got, want) || structParam == "1" && got != want {
			t.Errorf("struct=%s (-docs +code):\n%s", structParam, cmp.Diff(want, got))
		}
	}
}
