package jetstream_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// nodeVariable makes this program a node of a cluster, so that one can be killed.
const nodeVariable = "EVID_TEST_NATS_NODE"

// A node is one server of a cluster, in a process of its own.
type node struct {
	Name, Dir string
	Port      int    // for the others
	Routes    string // to all

	url string // for clients
	cmd *exec.Cmd
}

func TestMain(m *testing.M) {
	if text := os.Getenv(nodeVariable); text != "" {
		if err := beNode(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// beNode runs a node until standard input ends: with the process that started it.
func beNode(text string) error {
	var n node
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		return fmt.Errorf("read node %q: %w", text, err)
	}
	s, err := server.NewServer(&server.Options{
		ServerName: n.Name, Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, JetStream: true, StoreDir: n.Dir,
		Cluster: server.ClusterOpts{Name: "nodes", Host: "127.0.0.1", Port: n.Port},
		Routes:  server.RoutesFromStr(n.Routes),
	})
	if err != nil {
		return fmt.Errorf("make node %s: %w", n.Name, err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return fmt.Errorf("start node %s: expected it to be ready within 10 s", n.Name)
	}
	fmt.Println(s.ClientURL())
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	return nil
}

// nodes are a cluster of three processes.
type nodes []*node

func startNodes(t *testing.T) nodes {
	t.Helper()
	var all nodes
	var routes []string
	for i := range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		routes = append(routes, "nats://"+l.Addr().String())
		all = append(all, &node{Name: fmt.Sprintf("n%d", i), Dir: t.TempDir(), Port: l.Addr().(*net.TCPAddr).Port})
		l.Close()
	}
	for _, n := range all {
		n.Routes = strings.Join(routes, ",")
		n.start(t)
	}
	until(t, 20*time.Second, "the cluster has a leader", func() bool {
		return all.ask(func(js nats.JetStreamContext) error {
			_, err := js.AccountInfo(nats.MaxWait(time.Second))
			return err
		}) == nil
	})
	return all
}

func (n *node) start(t *testing.T) {
	t.Helper()
	text, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	n.cmd = exec.Command(os.Args[0])
	n.cmd.Env = append(os.Environ(), nodeVariable+"="+string(text))
	n.cmd.Stderr = os.Stderr
	if _, err := n.cmd.StdinPipe(); err != nil { // it is closed with this process
		t.Fatal(err)
	}
	stdout, err := n.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("node %s does not start: %v", n.Name, err)
	}
	n.url = strings.TrimSpace(line)
}

// kill kills the process; it has no time to tell anybody.
func (n *node) kill() {
	if n.cmd.ProcessState == nil {
		_ = n.cmd.Process.Kill()
		_ = n.cmd.Wait()
	}
}

func (all nodes) urls() string {
	var urls []string
	for _, n := range all {
		urls = append(urls, n.url)
	}
	return strings.Join(urls, ",")
}

// ask does something with the cluster.
func (all nodes) ask(do func(nats.JetStreamContext) error) error {
	conn, err := nats.Connect(all.urls())
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := conn.JetStream()
	if err != nil {
		return err
	}
	return do(js)
}

// killLeader kills the node that leads a stream.
func (all nodes) killLeader(t *testing.T, stream string) {
	t.Helper()
	leader := ""
	err := all.ask(func(js nats.JetStreamContext) error {
		info, err := js.StreamInfo(stream)
		if err == nil {
			leader = info.Cluster.Leader
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		if n.Name == leader {
			n.kill()
			return
		}
	}
	t.Fatalf("stream %s has no leader: %q", stream, leader)
}
