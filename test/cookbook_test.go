package test_test

import (
	"encoding/json"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/daemon"
	"github.com/evid/evid/internal/daemon/daemontest"
	"github.com/evid/evid/internal/receiver"
)

// A recipe of the cookbook: what its session says is done, and what it shows must arrive.
type recipe struct {
	script  string
	session []step
}

// A step of a session begins with a command ("$ …"), or with a comment about time that
// passes ("# …").
type step struct {
	line  string
	shown []string // as evid receive prints it
}

// inShort says how recipes are run that would take long as they stand in the cookbook. The
// others are not here.
var inShort = map[string]struct {
	replace []string                                 // old, new, …: shorter times
	pause   func(t *testing.T, d *daemontest.Daemon) // what a comment in the session waits for
	repeats bool                                     // by timer: something can always arrive
	logs    string                                   // what is logged and meant
}{
	"At most one a minute": {
		replace: []string{", 60, $var(times)", ", 2, $var(times)"},
		pause:   expired("told_berlin"),
	},
	"Notice silence": {
		replace: []string{`"alive", 30`, `"alive", 1`, "[silence, 5]", "[silence, 1]"},
	},
	"Send a heartbeat": {
		replace: []string{"[heartbeat, 60]", "[heartbeat, 2]"},
		repeats: true,
	},
	"Renew a subscription by timer": {
		replace: []string{`block_ip", 5)`, `block_ip", 3)`, "[event_subscribe, 4]", "[event_subscribe, 2]"},
		pause:   renewed("E_PIKE_BLOCKED"),
	},
	"Have a deputy": {logs: "connection refused"},
}

func TestCookbook(t *testing.T) {
	first, recipes := readCookbook(t)
	if len(recipes) < 10 {
		t.Errorf("there are %d recipes, want at least ten", len(recipes))
	}
	for heading := range inShort {
		if _, known := recipes[heading]; !known {
			t.Errorf("there is no recipe %q", heading)
		}
	}
	for heading, r := range recipes {
		t.Run(heading, func(t *testing.T) {
			t.Parallel()
			report := daemon.Check(daemon.Options{Config: first + r.script})
			if report.Err != nil || report.Warnings != nil {
				t.Fatal(report.Err, report.Warnings)
			}
			for old := range slices.Chunk(inShort[heading].replace, 2) {
				if !strings.Contains(r.script, old[0]) {
					t.Errorf("there is no %s in the script", old[0])
				}
			}
			r.script = strings.NewReplacer(inShort[heading].replace...).Replace(r.script)
			cook(t, heading, first, r)
		})
	}
}

// readCookbook returns the lines that all recipes begin with, and the recipes by their
// headings.
func readCookbook(t *testing.T) (first string, recipes map[string]recipe) {
	t.Helper()
	head, sections, _ := strings.Cut(readDoc(t, "cookbook.md"), "\n## ")
	recipes = make(map[string]recipe)
	for text := range strings.SplitSeq(sections, "\n## ") {
		heading, _, _ := strings.Cut(text, "\n")
		scripts, sessions := codeBlocks(t, text, "cfg"), codeBlocks(t, text, "console")
		if len(scripts) != 1 || len(sessions) != 1 {
			t.Fatalf("%s: expected one script and one session", heading)
		}
		recipes[heading] = recipe{scripts[0], steps(sessions[0])}
	}
	return codeBlocks(t, head, "cfg")[0], recipes
}

func steps(session string) []step {
	var all []step
	for line := range strings.SplitSeq(strings.TrimSpace(session), "\n") {
		if strings.HasPrefix(line, "$ ") || strings.HasPrefix(line, "# ") {
			all = append(all, step{line: line})
		} else {
			at := &all[len(all)-1]
			at.shown = append(at.shown, line)
		}
	}
	return all
}

// A kitchen is where a recipe is tried.
type kitchen struct {
	*testing.T
	daemon *daemontest.Daemon
	calls  chan string
	second string // where the session has another receiver, once it starts one
}

// The receivers of the sessions.
const (
	firstReceiver  = "127.0.0.1:8081"
	secondReceiver = "127.0.0.1:8082"
)

func cook(t *testing.T, heading, first string, r recipe) {
	k := &kitchen{T: t, calls: make(chan string, 100)}
	// Nobody listens there yet, and no other test comes upon a port of this address.
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	k.second = l.Addr().String()
	l.Close()
	addresses := strings.NewReplacer(firstReceiver, k.receive(receiver.Options{Addr: "127.0.0.1:0"}), secondReceiver, k.second)
	k.daemon = daemontest.Start(t, first+addresses.Replace(r.script)+probe)
	loaded := len(k.daemon.Log.String()) // with warnings: what all daemons of tests have is loaded twice
	for _, s := range r.session {
		if command, typed := strings.CutPrefix(s.line, "$ evid "); typed {
			k.typed(command)
		} else if pause := inShort[heading].pause; pause != nil {
			pause(t, k.daemon)
		}
		if s.shown != nil {
			k.arrives(s.line, strings.Split(addresses.Replace(strings.Join(s.shown, "\n")), "\n"))
		} else {
			k.nothing(s.line)
		}
	}
	if !inShort[heading].repeats {
		k.nothing("the session")
	}
	for line := range strings.Lines(k.daemon.Log.String()[loaded:]) {
		if meant := inShort[heading].logs; strings.Contains(line, " at=<config>:") && (meant == "" || !strings.Contains(line, meant)) {
			t.Errorf("logged: %s", line)
		}
	}
}

// receive starts a receiver and returns its address.
func (k *kitchen) receive(opts receiver.Options) string {
	k.Helper()
	opts.OnCall = func(c receiver.Call) { k.calls <- c.String() }
	r := receiver.New(opts)
	if err := r.Start(); err != nil {
		k.Fatal(err)
	}
	k.Cleanup(r.Stop)
	return r.Addr()
}

// arrives waits for what is shown after a command. Calls of one method come in this order;
// those of several methods need not.
func (k *kitchen) arrives(after string, want []string) {
	k.Helper()
	deadline := time.After(20 * time.Second)
	var got []string
	for range want {
		select {
		case call := <-k.calls:
			got = append(got, call)
		case <-deadline:
			k.Fatalf("after %s came only %q; log:\n%s", after, got, k.daemon.Log)
		}
	}
	if diff := cmp.Diff(byMethod(want), byMethod(got)); diff != "" {
		k.Fatalf("after %s (-docs +code):\n%s", after, diff)
	}
}

// nothing says what has arrived beyond what is shown, once all routes have run.
func (k *kitchen) nothing(after string) {
	k.Helper()
	k.daemon.Settled() // a call is in calls before it is answered
	select {
	case call := <-k.calls:
		k.Fatalf("after %s came, and is not shown: %s", after, call)
	default:
	}
}

func byMethod(calls []string) []string {
	method := func(call string) string { return call[:strings.Index(call, " ")] }
	return slices.SortedStableFunc(slices.Values(calls), func(a, b string) int {
		return strings.Compare(method(a), method(b))
	})
}

var shellWord = regexp.MustCompile(`(?:'[^']*'|[^' ])+`)

// typed does what a command does that begins with evid.
func (k *kitchen) typed(command string) {
	k.Helper()
	words := shellWord.FindAllString(command, -1)
	for i := range words {
		words[i] = strings.ReplaceAll(words[i], "'", "")
	}
	switch words[0] {
	case "raise":
		var params []evid.Param
		for _, word := range words[2:] {
			name, value, _ := strings.Cut(word, "=")
			p := evid.String(name, value)
			if n, err := strconv.ParseInt(value, 10, 64); err == nil && strconv.FormatInt(n, 10) == value {
				p = evid.Int(name, n)
			}
			params = append(params, p)
		}
		k.daemon.Raise(words[1], params...)
	case "mi":
		k.daemon.Call(words[1], words[2:])
	case "receive":
		opts := receiver.Options{Addr: k.second}
		if len(words) > 3 {
			opts.Status, _ = strconv.Atoi(words[3]) // --status
		}
		k.receive(opts)
	default:
		k.Fatalf("the test cannot do: evid %s", command)
	}
}

// probe is a route that tells whether a key is gone.
const probe = `
route[gone] {
	if (cache_fetch("local", $param(1), $var(value)))
		return(-1);
}
`

// expired waits until a key of the cache is gone.
func expired(key string) func(*testing.T, *daemontest.Daemon) {
	return func(t *testing.T, d *daemontest.Daemon) {
		t.Helper()
		until(t, key+" is gone", func() bool {
			var result struct{ Return int }
			unmarshal(t, d.Call("run_route", []string{"gone", key}), &result)
			return result.Return > 0
		})
	}
}

// renewed waits until a subscription has more time left than before.
func renewed(event string) func(*testing.T, *daemontest.Daemon) {
	return func(t *testing.T, d *daemontest.Daemon) {
		t.Helper()
		before := 0
		until(t, "the subscription is renewed", func() bool {
			var result struct {
				Event struct{ Subscribers []struct{ TTL int } }
			}
			unmarshal(t, d.Call("subscribers_list", []string{event}), &result)
			for _, s := range result.Event.Subscribers {
				if s.TTL > before && before > 0 {
					return true
				}
				before = s.TTL
			}
			return false
		})
	}
}

// until asks again and again: each time takes a round trip, so this does not spin.
func until(t *testing.T, want string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("want that %s", want)
		}
	}
}

func unmarshal(t *testing.T, result json.RawMessage, to any) {
	t.Helper()
	if err := json.Unmarshal(result, to); err != nil {
		t.Fatal(err)
	}
}
