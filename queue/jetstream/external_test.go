package jetstream_test

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/jetstream"
	"github.com/evid/evid/queue/storetest"
)

// startNATS starts a server that listens on loopback, and waits until it serves.
func startNATS(t testing.TB, o *server.Options) *server.Server {
	t.Helper()
	o.Host, o.NoSigs, o.NoLog, o.JetStream = "127.0.0.1", true, true, true
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server does not get ready")
	}
	return s
}

// inNATS are the parameters of a store in an external NATS.
func inNATS(urls, prefix string) jetstream.Params {
	p := jetstream.DefaultParams()
	p.URL, p.Prefix = urls, prefix
	return p
}

// places returns a new prefix for each test.
func places(urls string) func(t *testing.T) storetest.Opener {
	n := 0
	return func(*testing.T) storetest.Opener {
		n++
		p := inNATS(urls, fmt.Sprintf("evid%d", n))
		return func(t *testing.T) queue.Store { return open(t, p) }
	}
}

func TestExternal(t *testing.T) {
	s := startNATS(t, &server.Options{StoreDir: t.TempDir()})
	storetest.Run(t, places(s.ClientURL()))
}

// A cluster is three servers.
type cluster struct {
	servers []*server.Server
	options []*server.Options
}

func startCluster(t testing.TB) *cluster {
	t.Helper()
	c := &cluster{}
	var routes []string
	var ports []int
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
		routes = append(routes, "nats://"+l.Addr().String())
		l.Close()
	}
	for i := range 3 {
		o := &server.Options{
			ServerName: fmt.Sprintf("n%d", i), StoreDir: t.TempDir(),
			Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: ports[i]},
			Routes:  server.RoutesFromStr(strings.Join(routes, ",")),
		}
		c.options = append(c.options, o)
		c.servers = append(c.servers, startNATS(t, o))
	}
	until(t, 20*time.Second, "the cluster has a leader", func() bool {
		for _, s := range c.servers {
			if s.JetStreamIsLeader() {
				return len(s.JetStreamClusterPeers()) == 3
			}
		}
		return false
	})
	return c
}

func (c *cluster) urls() string {
	var urls []string
	for _, s := range c.servers {
		urls = append(urls, s.ClientURL())
	}
	return strings.Join(urls, ",")
}

// leader returns the server that leads a stream.
func (c *cluster) leader(stream string) *server.Server {
	for _, s := range c.servers {
		if s.Running() && s.JetStreamIsStreamLeader("$G", stream) {
			return s
		}
	}
	return nil
}

func TestCluster(t *testing.T) {
	c := startCluster(t)
	t.Run("suite", func(t *testing.T) { storetest.Run(t, places(c.urls())) })
	t.Run("leader lost", func(t *testing.T) { leaderLost(t, c) })
}

// The leader of the event log goes away in the middle of a storm: what was acknowledged
// is still there, in order, and appending goes on.
func leaderLost(t *testing.T, c *cluster) {
	s := open(t, inNATS(c.urls(), "storm"))
	var mu sync.Mutex
	acked := map[uint64]string{}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		var last uint64
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			data := fmt.Sprint("entry ", n)
			pos, err := s.Append(queue.EventLog, last, []byte(data))
			switch {
			case err == nil:
				mu.Lock()
				acked[pos] = data
				mu.Unlock()
				last = pos
			case errors.Is(err, queue.ErrMoved):
				if info, err := s.Info(queue.EventLog); err == nil {
					last = info.Last
				}
			case !errors.Is(err, queue.ErrUnconfirmed) && !errors.Is(err, queue.ErrUnhealthy):
				t.Errorf("append: %v", err)
				return
			}
		}
	})
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(acked)
	}
	until(t, 20*time.Second, "a hundred entries are acknowledged", func() bool { return count() >= 100 })
	leader := c.leader("storm-events")
	if leader == nil {
		t.Fatal("the stream has no leader")
	}
	lost := time.Now()
	leader.Shutdown()
	leader.WaitForShutdown()
	before := count()
	until(t, 10*time.Second, "appending goes on", func() bool { return count() > before })
	t.Logf("appending went on after %v", time.Since(lost).Round(time.Millisecond))
	until(t, 10*time.Second, "a hundred more entries are acknowledged", func() bool { return count() > before+100 })
	close(stop)
	wg.Wait()

	have := map[uint64]string{}
	for _, e := range readAll(t, s, queue.EventLog, 1) {
		have[e.Pos] = string(e.Data)
	}
	for pos, data := range acked {
		if have[pos] != data {
			t.Errorf("position %d has %q, and %q was acknowledged", pos, have[pos], data)
		}
	}
	seen := map[string]uint64{}
	for pos, data := range have {
		if other := seen[data]; other != 0 {
			t.Errorf("%q is at %d and at %d", data, other, pos)
		}
		seen[data] = pos
	}
}

// The second evid on one NATS is refused, and may start once the first one is closed, or
// is silent for long enough.
func TestLease(t *testing.T) {
	t.Parallel()
	n := startNATS(t, &server.Options{StoreDir: t.TempDir()})
	p := inNATS(n.ClientURL(), "evid")
	first := open(t, p)
	_, err := jetstream.Open(p, nil)
	if err == nil || !strings.Contains(err.Error(), "open queue nats://127.0.0.1:") || !strings.Contains(err.Error(), "another evid uses it (") {
		t.Fatalf("got %v, want that another evid uses it", err)
	}
	open(t, inNATS(n.ClientURL(), "other")).Close() // has streams of its own
	appendTo(t, first, queue.EventLog, 0, "one")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	second := open(t, p)
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("it took %v after a clean close", d)
	}
	appendTo(t, second, queue.EventLog, 1, "two")
}

// Who was taken for dead, and comes back, may not write.
func TestLeaseTaken(t *testing.T) {
	t.Parallel()
	n := startNATS(t, &server.Options{StoreDir: t.TempDir()})
	proxy := startProxy(t, strings.TrimPrefix(n.ClientURL(), "nats://"))
	first := open(t, inNATS("nats://"+proxy.addr(), "evid"))
	appendTo(t, first, queue.EventLog, 0, "one")
	proxy.freeze()
	second := open(t, inNATS(n.ClientURL(), "evid")) // watches, and takes over
	proxy.thaw()
	until(t, 10*time.Second, "the first one learns that it lost the queue", func() bool {
		err := first.Health()
		return err != nil && strings.Contains(err.Error(), "another evid uses it (")
	})
	if _, err := first.Append(queue.EventLog, 1, []byte("stale")); !errors.Is(err, queue.ErrUnhealthy) {
		t.Errorf("append: got %v, want %v", err, queue.ErrUnhealthy)
	}
	appendTo(t, second, queue.EventLog, 1, "two")
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	appendTo(t, second, queue.EventLog, 2, "three")
	if err := second.Health(); err != nil {
		t.Error(err)
	}
}

// A server that is away makes appends fail, and the store is well when it is back.
func TestExternalAway(t *testing.T) {
	t.Parallel()
	n := startNATS(t, &server.Options{StoreDir: t.TempDir()})
	proxy := startProxy(t, strings.TrimPrefix(n.ClientURL(), "nats://"))
	p := inNATS("nats://"+proxy.addr(), "evid")
	p.CommitTimeout = time.Second
	s := open(t, p)
	appendTo(t, s, queue.EventLog, 0, "one")
	proxy.freeze()
	_, err := s.Append(queue.EventLog, 1, []byte("two"))
	if !errors.Is(err, queue.ErrUnconfirmed) {
		t.Fatalf("got %v, want %v", err, queue.ErrUnconfirmed)
	}
	if _, err := s.Append(queue.EventLog, 1, []byte("two")); !errors.Is(err, queue.ErrUnhealthy) {
		t.Errorf("got %v, want %v", err, queue.ErrUnhealthy)
	}
	proxy.thaw()
	until(t, 10*time.Second, "the store is well", func() bool { return s.Health() == nil })
	// The frozen bytes have arrived: what was unconfirmed was kept.
	if _, err := s.Append(queue.EventLog, 1, []byte("three")); !errors.Is(err, queue.ErrMoved) {
		t.Errorf("got %v, want %v", err, queue.ErrMoved)
	}
	appendTo(t, s, queue.EventLog, 2, "three")
	// The connection breaks, and comes back: nothing is tried before it is there again.
	proxy.breakAll()
	until(t, 10*time.Second, "appending goes on", func() bool {
		_, err := s.Append(queue.EventLog, 3, []byte("four"))
		return err == nil || errors.Is(err, queue.ErrMoved)
	})
	var got []string
	for _, e := range readAll(t, s, queue.EventLog, 1) {
		got = append(got, string(e.Data))
	}
	if want := "one two three four"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestExternalErrors(t *testing.T) {
	t.Parallel()
	n := startNATS(t, &server.Options{StoreDir: t.TempDir(), Username: "evid", Password: "s3cret"})
	host := strings.TrimPrefix(n.ClientURL(), "nats://")
	withUser := func(user *url.Userinfo, host string) jetstream.Params {
		return inNATS((&url.URL{Scheme: "nats", User: user, Host: host}).String(), "evid")
	}
	s := open(t, withUser(url.UserPassword("evid", "s3cret"), host))
	appendTo(t, s, queue.EventLog, 0, "one")
	for _, test := range []struct {
		p    jetstream.Params
		want string
	}{
		{withUser(url.UserPassword("evid", "wr0ng"), host), "Authorization Violation"},
		{inNATS(n.ClientURL(), "evid"), "Authorization Violation"},
		{withUser(url.UserPassword("evid", "s3cret"), "127.0.0.1:1"), "connect: nats: no servers available"},
		{inNATS("http://user:s3cret@host", "evid"), `expected nats://host:port or tls://host:port, got "http://xxxxx@host"`},
		{inNATS("nats://user:s3cret@[", "evid"), `expected nats://host:port or tls://host:port, got "nats://xxxxx@["`},
	} {
		_, err := jetstream.Open(test.p, nil)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "open queue") {
			t.Errorf("got %v, want %q", err, test.want)
		}
		if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "wr0ng")) {
			t.Errorf("the password is in %q", err)
		}
	}
}
