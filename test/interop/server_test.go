package interop_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a server may take to start or to write a call down.
const patience = 30 * time.Second

// A server is a running XML-RPC server.
type server struct {
	program
	port  int
	pipe  *os.File      // what the server thinks is its file
	calls *bufio.Reader // of pipe
}

// startServer starts p and stops it when the test ends. A server that ends
// before that fails the test.
func startServer(t *testing.T, p program) *server {
	t.Helper()
	pipe := makePipe(t)
	cmd := p.start(t, pipe.Name())
	return &server{program: p, port: launch(t, cmd), pipe: pipe, calls: bufio.NewReader(pipe)}
}

// nextCall waits for the next line that the server writes, see servers/README.md.
func (s *server) nextCall(t *testing.T) string {
	t.Helper()
	if err := s.pipe.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	line, err := s.calls.ReadString('\n')
	if err != nil {
		t.Fatalf("read what the server got: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

// makePipe makes a named pipe: a file to append to for who writes, while a
// reader can wait for the next line. It is open for writing here too, so it
// never ends.
func makePipe(t *testing.T) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "calls")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatalf("make pipe %s: %v", path, err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatalf("open pipe: %v", err)
	}
	t.Cleanup(func() { pipe.Close() })
	return pipe
}

// launch starts cmd and returns the port it says it listens on.
func launch(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	output, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = input, input
	err = cmd.Start()
	input.Close() // the server has its own
	if err != nil {
		output.Close()
		t.Fatalf("start server: %v", err)
	}

	ports := make(chan int, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		readOutput(t, output, ports)
	}()
	var exit error // of cmd, once ended is closed
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		exit = cmd.Wait()
	}()
	t.Cleanup(func() {
		select {
		case <-ended:
			t.Errorf("%s ended by itself: %v", cmd, exit)
		default:
			if err := cmd.Process.Kill(); err != nil {
				t.Errorf("kill %s: %v", cmd, err)
			}
			<-ended
		}
		<-read
		output.Close()
	})

	select {
	case port := <-ports:
		return port
	case <-read:
		t.Fatalf("%s ended without saying its port", cmd)
	case <-time.After(patience):
		t.Fatalf("%s did not say its port in %s", cmd, patience)
	}
	return 0
}

var serverURL = regexp.MustCompile(`http://127\.0\.0\.1:(\d+)`)

// readOutput logs what a server prints and sends the port of the first URL in it.
func readOutput(t *testing.T, output io.Reader, ports chan<- int) {
	announced := false
	for lines := bufio.NewScanner(output); lines.Scan(); {
		t.Log(lines.Text())
		url := serverURL.FindStringSubmatch(lines.Text())
		if announced || url == nil {
			continue
		}
		if port, err := strconv.Atoi(url[1]); err == nil {
			announced = true
			ports <- port
		}
	}
}
