package test_test

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/daemon/daemontest"
)

// The receivers of receivers.md get an event, as printed there.
func TestDocsReceivers(t *testing.T) {
	modules, err := filepath.Abs("interop/node/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NODE_PATH", modules)
	for _, test := range []struct {
		language string
		file     string
		probe    []string // succeeds where the program can run
		run      []string // with FILE and PORT
		prints   string
	}{
		{
			language: "python", file: "receiver.py",
			probe: []string{"python3", "-c", "import xmlrpc.server"}, run: []string{"python3", "FILE", "PORT"},
			prints: "E_PIKE_BLOCKED {'ip': '192.168.2.11', 'hits': 42}",
		}, {
			language: "javascript", file: "receiver.js",
			probe: []string{"node", "-e", "require('xmlrpc')"}, run: []string{"node", "FILE", "PORT"},
			prints: "E_PIKE_BLOCKED { ip: '192.168.2.11', hits: 42 }",
		}, {
			language: "php", file: "receiver.php",
			probe:  []string{"php", "-r", `exit(extension_loaded("xmlrpc") ? 0 : 1);`},
			run:    []string{"php", "-S", "127.0.0.1:PORT", "FILE"},
			prints: `E_PIKE_BLOCKED {"ip":"192.168.2.11","hits":42}`,
		}, {
			language: "perl", file: "receiver.pl",
			probe: []string{"perl", "-MRPC::XML::Server", "-e1"}, run: []string{"perl", "FILE", "PORT"},
			prints: "E_PIKE_BLOCKED hits=42 ip=192.168.2.11",
		}, {
			language: "go", file: "receiver.go",
			probe:  []string{"go", "version"},
			run:    []string{"sh", "-c", `go build -o "$0.bin" "$0" && exec "$0.bin" "$1"`, "FILE", "PORT"},
			prints: "block_ip map[hits:42 ip:192.168.2.11]",
		},
	} {
		t.Run(test.language, func(t *testing.T) {
			program := codeBlocks(t, readDoc(t, "receivers.md"), test.language)[0]
			file := filepath.Join(t.TempDir(), test.file)
			if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
				t.Fatal(err)
			}
			requireProgram(t, test.probe)
			addr := freeAddr(t)
			_, port, _ := strings.Cut(addr, ":")
			command := slices.Clone(test.run)
			for i := range command {
				command[i] = strings.NewReplacer("FILE", file, "PORT", port).Replace(command[i])
			}
			lines := startReceiver(t, command)
			awaitListener(t, addr)

			d := daemontest.Start(t, `
				modparam("event_xmlrpc", "use_struct_param", 1)
				modparam("evi", "register", "E_PIKE_BLOCKED")`)
			d.Subscribe("E_PIKE_BLOCKED", "xmlrpc:"+addr+":block_ip")
			d.Raise("E_PIKE_BLOCKED", evid.String("ip", "192.168.2.11"), evid.Int("hits", 42))
			checkStatistics(t, d.Settled(), map[string]uint64{"delivered": 1})
			for line := receive(t, lines); !strings.HasSuffix(line, test.prints); line = receive(t, lines) {
				t.Logf("printed: %s", line)
			}
		})
	}
}

// requireProgram skips the test where the probe fails; with CI=true in the
// environment the test fails then.
func requireProgram(t *testing.T, probe []string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), probe[0], probe[1:]...).CombinedOutput()
	if err == nil {
		return
	}
	give := t.Skipf
	if os.Getenv("CI") == "true" {
		give = t.Fatalf
	}
	give("%q: %v; test/deps.sh installs what is missing\n%s", probe, err, out)
}

// freeAddr returns an address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l := listen(t)
	l.Close()
	return l.Addr().String()
}

// startReceiver starts a program, which ends with the test, and returns the
// lines that it prints.
func startReceiver(t *testing.T, command []string) <-chan string {
	t.Helper()
	output, input := io.Pipe()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = input, input
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("start receiver: %v", err)
	}
	lines := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for scanner := bufio.NewScanner(output); scanner.Scan(); {
			select {
			case lines <- scanner.Text():
			case <-t.Context().Done():
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Wait() // it was killed
		input.Close()
		<-read
	})
	return lines
}

// awaitListener waits until something listens on addr.
func awaitListener(t *testing.T, addr string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(time.Minute)
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("the receiver does not listen: %v", err)
		}
	}
}
