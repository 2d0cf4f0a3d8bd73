package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A program is something that nobody here wrote and that evid must get on with.
type program struct {
	name     string
	command  func(t *testing.T) []string // how to start it, less its last argument
	probe    []string                    // a command that succeeds where all it needs is installed
	packages string                      // what to install where the probe fails

	refusesFourBytes bool // answers UTF-8 of four bytes with a fault
}

var (
	python10 = program{
		name:     "python-http10",
		command:  words("python3", "servers/python.py", "HTTP/1.0"),
		probe:    []string{"python3", "-c", "import xmlrpc.server"},
		packages: "Debian package python3",
	}
	python11 = program{
		name:     "python-http11",
		command:  words("python3", "servers/python.py", "HTTP/1.1"),
		probe:    python10.probe,
		packages: python10.packages,
	}
	rpcXML = program{
		name:     "perl-rpc-xml",
		command:  words("perl", "servers/rpcxml.pl"),
		probe:    []string{"perl", "-MRPC::XML::Server", "-e1"},
		packages: "Debian package librpc-xml-perl",
	}
	frontier = program{
		name:     "perl-frontier",
		command:  words("perl", "servers/frontier.pl"),
		probe:    []string{"perl", "-MFrontier::Daemon", "-e1"},
		packages: "Debian package libfrontier-rpc-perl",
	}
	abyss = program{
		name:             "abyss",
		command:          compileAbyss,
		probe:            []string{"sh", "-c", "gcc --version && xmlrpc-c-config abyss-server --libs"},
		packages:         "Debian packages gcc, libc6-dev and libxmlrpc-core-c3-dev",
		refusesFourBytes: true,
	}
	ruby = program{
		name:     "ruby",
		command:  words("ruby", "servers/ruby.rb"),
		probe:    []string{"ruby", "-e", "require 'xmlrpc/server'; require 'webrick'"},
		packages: "Debian packages ruby and ruby-xmlrpc",
	}
	php = program{
		name:     "php",
		command:  words("php", "servers/php.php"),
		probe:    []string{"php", "-r", `exit(extension_loaded("xmlrpc") && extension_loaded("pcntl") ? 0 : 1);`},
		packages: "Debian packages php-cli and php-xmlrpc",
	}
	node = program{
		name:     "node",
		command:  words("node", "node/server.js"),
		probe:    []string{"node", "-e", "require('./node/node_modules/xmlrpc')"},
		packages: "npm package xmlrpc (npm ci in test/interop/node)",
	}
	miClient = program{
		name:     "opensips-mi-client",
		command:  words("node", "node/mi_client.js"),
		probe:    []string{"node", "-e", "require('./node/node_modules/opensips-mi-client')"},
		packages: "npm package opensips-mi-client (npm ci in test/interop/node)",
	}
)

// servers are the XML-RPC servers, see servers/README.md.
var servers = []program{python10, python11, rpcXML, frontier, abyss, ruby, php, node}

func words(command ...string) func(*testing.T) []string {
	return func(*testing.T) []string { return command }
}

func compileAbyss(t *testing.T) []string {
	t.Helper()
	flags, err := exec.Command("xmlrpc-c-config", "abyss-server", "--cflags", "--libs").Output()
	if err != nil {
		t.Fatalf("ask xmlrpc-c-config for compiler flags: %v", err)
	}
	binary := filepath.Join(t.TempDir(), "abyss")
	args := append([]string{"-o", binary, "servers/abyss.c"}, strings.Fields(string(flags))...)
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		t.Fatalf("compile servers/abyss.c: %v\n%s", err, out)
	}
	return []string{binary}
}

// start returns the command that runs the program with a last argument or
// more. Where the program is not installed it skips the test; with CI=true in
// the environment the test fails then.
func (p program) start(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	out, err := exec.Command(p.probe[0], p.probe[1:]...).CombinedOutput()
	if err != nil {
		give := t.Skipf
		if os.Getenv("CI") == "true" {
			give = t.Fatalf
		}
		give("%s needs %s (%v); test/deps.sh installs it\n%s", p.name, p.packages, err, out)
	}
	command := append(p.command(t), args...)
	return exec.Command(command[0], command[1:]...)
}
