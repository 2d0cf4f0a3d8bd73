package test_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/evid/evid"

// imports is the structure: which packages of the module each package may
// import. Imports point to the root, and never sideways between transports.
var imports = map[string][]string{
	"":                 {},
	"modparam":         {},
	"xmlrpc":           {},
	"queue":            {"", "modparam"},
	"queue/storetest":  {"queue"},
	"queue/jetstream":  {"modparam", "queue"},
	"delivery":         {"", "queue"},
	"transport/xmlrpc": {"", "modparam", "xmlrpc", "internal/tcp"},
	"transport/route":  {"", "modparam"},
	"source/pike":      {"", "internal/loglevel", "modparam", "script/program"},
	"script":           {"modparam", "internal/spell"},
	"script/value":     {},
	"script/program": {
		"", "internal/spell", "script", "script/posix", "script/transform", "script/value",
	},
	"script/core":       {"", "internal/loglevel", "script/program", "script/value"},
	"script/cachedb":    {"modparam", "script/program", "script/value"},
	"script/statistics": {"mi", "modparam", "script/program"},
	"script/ratelimit":  {"mi", "modparam", "script/posix", "script/program", "script/value"},
	"script/posix":      {},
	"script/transform":  {"script/posix", "script/value"},
	"source/core":       {"", "internal/loglevel", "modparam"},
	"script/sipreq":     {"script/program", "script/value", "source/sip"},
	"source/sip":        {"modparam"},
	"mi":                {"", "internal/spell"},
	"mi/httpd":          {"mi", "modparam"},

	"source/hep":         {"modparam", "script/value"},
	"source/hep/heptest": {},

	"internal/loglevel":  {},
	"internal/spell":     {},
	"internal/tcp":       {},
	"internal/txtartest": {},
	"internal/miclient":  {},
	"internal/receiver":  {"xmlrpc"},
	"mi/internal/mitest": {""},
	"internal/daemon": {
		"", "delivery", "internal/loglevel", "mi", "mi/httpd", "modparam", "queue", "queue/jetstream",
		"script", "script/cachedb", "script/core", "script/program", "script/ratelimit", "script/sipreq",
		"script/statistics", "script/value", "source/core", "source/hep", "source/pike", "source/sip",
		"transport/route", "transport/xmlrpc",
	},
	"internal/daemon/daemontest": {"", "internal/daemon", "internal/miclient"},
	"bench": {
		"", "delivery", "internal/miclient", "queue", "queue/jetstream", "source/hep/heptest", "transport/xmlrpc", "xmlrpc",
	},
	"cmd/evid": {
		"", "internal/daemon", "internal/miclient", "internal/receiver", "mi", "queue", "queue/jetstream", "script",
	},
}

// standardOnly are the packages that need nothing but the standard library.
var standardOnly = []string{
	"", "modparam", "xmlrpc", "queue", "delivery", "transport/xmlrpc", "transport/route",
	"script", "script/cachedb", "script/posix", "script/program", "script/ratelimit", "script/statistics",
	"script/transform", "script/value", "source/core", "source/pike", "mi", "mi/httpd",
}

func TestImports(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"/...").Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		name := strings.TrimPrefix(strings.TrimPrefix(words[0], module), "/")
		if strings.HasPrefix(name, "test") {
			continue // it holds tests only
		}
		allowed, known := imports[name]
		if !known {
			t.Errorf("package %q: what may it import? Say so in this test", name)
			continue
		}
		for _, path := range words[1:] {
			within, ours := strings.CutPrefix(path, module)
			switch {
			case ours && !slices.Contains(allowed, strings.TrimPrefix(within, "/")):
				t.Errorf("package %q imports %q", name, path)
			case !ours && strings.Contains(path, ".") && slices.Contains(standardOnly, name):
				t.Errorf("package %q imports %q, and needs nothing but the standard library", name, path)
			}
		}
	}
}
