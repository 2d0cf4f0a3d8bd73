package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// A peer is an XML-RPC server that nobody here wrote: see interop/README.md.
type peer struct {
	name    string
	command func(context.Context, *lab) (command, env []string, err error)
	options string  // of the socket
	limit   float64 // to csend closeread
}

// peerHost is where peers listen.
const peerHost = "127.0.0.1"

// What evid keeps beside one connection per event, by what the server bears.
const (
	withMulticall = 5
	withKeepAlive = 1.4
	withNeither   = 0.9
)

// peers are the servers. One whose connections evid keeps, and who also knows
// system.multicall, is measured with and without that.
func peers() []peer {
	return []peer{
		{"Python, HTTP/1.0, multicall", script("python3", "python.py", "HTTP/1.0", "multicall"), "", withMulticall},
		{"Python, HTTP/1.0", script("python3", "python.py", "HTTP/1.0"), "", withNeither},
		{"Python, HTTP/1.1, multicall", script("python3", "python.py", "HTTP/1.1", "multicall"), "", withMulticall},
		{"Python, HTTP/1.1", script("python3", "python.py", "HTTP/1.1"), "", withKeepAlive},
		{"Perl RPC::XML, multicall", script("perl", "rpcxml.pl"), "", withMulticall},
		{"Perl RPC::XML", script("perl", "rpcxml.pl"), single, withKeepAlive},
		{"Perl Frontier", script("perl", "frontier.pl"), "", withNeither},
		{"Abyss, multicall", compiledAbyss, "", withMulticall},
		{"Abyss", compiledAbyss, single, withKeepAlive},
		{"Node xmlrpc", script("node", "node.js"), "", withKeepAlive},
		{"PHP ext/xmlrpc", script("php", "php.php"), "", withNeither},
	}
}

// script is a program that an interpreter runs.
func script(interpreter, file string, args ...string) func(context.Context, *lab) ([]string, []string, error) {
	return func(_ context.Context, l *lab) (command, env []string, err error) {
		return append([]string{interpreter, l.path("interop/" + file)}, args...), []string{"NODE_PATH=" + l.nodes}, nil
	}
}

func compiledAbyss(ctx context.Context, l *lab) (command, env []string, err error) {
	flags, err := exec.CommandContext(ctx, "xmlrpc-c-config", "abyss-server", "--cflags", "--libs").Output()
	if err != nil {
		return nil, nil, fmt.Errorf("ask xmlrpc-c-config for compiler flags: %w", err)
	}
	err = l.compile(ctx, "interop/abyss.c", "interop/abyss", append(strings.Fields(string(flags)), "-lpthread")...)
	return []string{l.path("interop/abyss")}, nil, err
}

// interopExperiments measure evid beside one connection per event, against each peer.
func interopExperiments() []*experiment {
	var experiments []*experiment
	for _, p := range peers() {
		r := &row{what: p.name, unit: unitRate, reference: "`csend closeread`", limit: limit{ratio: p.limit}}
		experiments = append(experiments, &experiment{
			rows: []*row{r},
			run: func(ctx context.Context, l *lab, turn int) ([]sample, error) {
				var s sample
				err := inTurn(turn,
					func() (err error) {
						s.reference, s.referenceCPU, err = l.closeRead(ctx, p)
						return err
					},
					func() error {
						r, err := l.sendToPeer(ctx, p)
						s.value, s.cpu, s.allocs, s.hasAllocs = r.Rate, r.CPU, r.Allocs, true
						return err
					})
				return []sample{s}, err
			},
		})
	}
	return experiments
}

// closeRead measures the reference against a fresh server.
func (l *lab) closeRead(ctx context.Context, p peer) (rate, cpu float64, err error) {
	s, err := l.startPeer(ctx, p)
	if err != nil {
		return 0, 0, err
	}
	defer s.kill()
	c, err := l.csend(ctx, peerHost, s.port, "closeread", "-s")
	if err != nil {
		return 0, 0, err
	}
	executed, err := s.stop()
	if err == nil && (executed != c.events || c.failed > 0) {
		err = fmt.Errorf("run csend closeread: %d events are confirmed, %d failed, the server executed %d",
			c.events, c.failed, executed)
	}
	return c.rate, c.cpu, err
}

// sendToPeer measures evid against a fresh server.
func (l *lab) sendToPeer(ctx context.Context, p peer) (result, error) {
	s, err := l.startPeer(ctx, p)
	if err != nil {
		return result{}, err
	}
	defer s.kill()
	t := task{Kind: "flood", Depth: 1024}
	t.Groups = []group{{Event: event, Host: peerHost, Port: s.port, Count: 1, Options: p.options}}
	t.For = l.seconds
	r, err := l.send(ctx, t)
	if err != nil {
		return r, err
	}
	executed, err := s.stop()
	if err != nil {
		return r, err
	}
	return r, r.check(executed)
}

// A peerServer is a running peer.
type peerServer struct {
	*process
	port int
}

var peerURL = regexp.MustCompile(`http://127\.0\.0\.1:(\d+)`)

// startPeer starts a server, which listens when this returns.
func (l *lab) startPeer(ctx context.Context, p peer) (*peerServer, error) {
	command, env, err := p.command(ctx, l)
	if err != nil {
		return nil, err
	}
	child, err := start(ctx, command, env...)
	if err != nil {
		return nil, err
	}
	line, err := child.expect("http://" + peerHost + ":")
	if err != nil {
		child.kill()
		return nil, err
	}
	port, err := strconv.Atoi(peerURL.FindStringSubmatch(line)[1])
	if err != nil {
		child.kill()
		return nil, fmt.Errorf("read port of %s: %w", p.name, err)
	}
	return &peerServer{child, port}, nil
}

// stop ends the server and returns how many calls it has executed.
func (s *peerServer) stop() (executed uint64, err error) {
	line, err := s.finish("executed=")
	if err != nil {
		return 0, err
	}
	fields, err := readFields(line)
	return uint64(fields["executed"]), err
}
