package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/evid/evid/internal/miclient"
)

const (
	unitRequests = "requests/s"
	unitPackets  = "packets/s"

	// hepRate is what one processor has to bear, in packets/s.
	hepRate = 60_000

	// Ports, counted from the first: where SIP and HEP are received, and where MI is.
	portSIP, portHEP, portMI = 0, 1, 2
)

// sipExperiments are the rows about what receives SIP.
func sipExperiments() []*experiment {
	return []*experiment{sipRates(), hepRates(), hepFloods()}
}

// answers is a script that counts each request, blocks nobody, and answers.
const answers = `
modparam("pike", "sampling_time_unit", 1)
modparam("pike", "reqs_density_per_unit", 1000000)
route {
	if (!pike_check_req()) exit;
	sl_send_reply(200, "OK");
}
`

// looks is a script that counts each request and looks into it.
const looks = `
modparam("pike", "sampling_time_unit", 1)
route {
	if (!pike_check_req()) exit;
	if (is_method("OPTIONS") && $ua == "friendly-scanner") exit;
}
`

// bearing is what lets looks block nobody.
const bearing = `modparam("pike", "reqs_density_per_unit", 1000)`

// sipRates is how many requests are answered, beside a program that sends back what it gets.
func sipRates() *experiment {
	return &experiment{
		rows: []*row{{
			what: "SIP over UDP: requests through route, pike and a reply", unit: unitRequests,
			reference: "a bare echo in Go",
		}},
		run: func(ctx context.Context, l *lab, turn int) ([]sample, error) {
			var s sample
			err := inTurn(turn,
				func() error {
					r, err := l.sendToBare(ctx, "echo", task{Kind: "sip"}, portSIP)
					s.reference, s.referenceCPU = r.Rate, r.CPU
					return err
				},
				func() error {
					d, err := l.startDaemon(ctx, answers)
					if err != nil {
						return err
					}
					defer d.kill()
					r, err := l.sendMessages(ctx, d.process, task{Kind: "sip"}, portSIP)
					if err != nil {
						return err
					}
					s.value, s.cpu = r.Rate, r.CPU
					return d.check(ctx, map[string]uint64{
						"sip:requests": r.Delivered, "sip:replied": r.Delivered, "pike:detected": 0,
					})
				})
			return []sample{s}, err
		},
	}
}

// hepRates is how many packets one processor takes, beside a program that only reads them;
// and whether it takes all that it has to bear.
func hepRates() *experiment {
	const one = "GOMAXPROCS=1"
	return &experiment{
		rows: []*row{
			{
				what: "HEP over UDP: packets through the SIP parser, route and pike, one processor", unit: unitPackets,
				reference: "a bare reader in Go", limit: limit{least: hepRate},
			},
			{
				what: "HEP over UDP: of " + figure(hepRate) + " packets/s, one processor takes", unit: "%",
				limit: limit{least: 100},
			},
		},
		run: func(ctx context.Context, l *lab, turn int) ([]sample, error) {
			samples := make([]sample, 2)
			pressed, steady := task{Kind: "hep"}, task{Kind: "hep", Rate: hepRate}
			err := inTurn(turn,
				func() error {
					r, err := l.sendToBare(ctx, "read", pressed, portHEP, one)
					samples[0].reference, samples[0].referenceCPU = r.Rate, r.CPU
					return err
				},
				func() error {
					d, err := l.startDaemon(ctx, bearing+looks, one)
					if err != nil {
						return err
					}
					defer d.kill()
					r, err := l.sendMessages(ctx, d.process, pressed, portHEP)
					if err != nil {
						return err
					}
					samples[0].value, samples[0].cpu = r.Rate, r.CPU
					if err := d.check(ctx, map[string]uint64{
						"hep:packets": r.Delivered, "hep:sip": r.Delivered, "hep:dropped": 0, "hep:sip_malformed": 0, "pike:detected": 0,
					}); err != nil {
						return err
					}
					before := r.Delivered
					if r, err = l.sendMessages(ctx, d.process, steady, portHEP); err != nil {
						return err
					}
					samples[1].value, samples[1].cpu = 100*(1-float64(r.Dropped)/float64(r.Delivered)), r.CPU
					return d.check(ctx, map[string]uint64{
						"hep:packets": before + r.Delivered - r.Dropped, "hep:dropped": r.Dropped,
					})
				})
			return samples, err
		},
	}
}

// sendMessages runs a task that sends to a process, at a port counted from the first.
func (l *lab) sendMessages(ctx context.Context, p *process, t task, port int) (result, error) {
	t.Groups = []group{{Port: l.port + port}}
	l.place(&t)
	t.Peer = p.cmd.Process.Pid
	return l.send(ctx, t)
}

// sendToBare runs a task that sends to a program that does as good as nothing, and checks
// that it has taken all.
func (l *lab) sendToBare(ctx context.Context, kind string, t task, port int, env ...string) (result, error) {
	bare := task{Kind: kind, Groups: []group{{Port: l.port + port}}}
	l.place(&bare)
	text, err := json.Marshal(bare)
	if err != nil {
		return result{}, fmt.Errorf("write task: %w", err)
	}
	p, err := start(ctx, []string{l.self, senderCommand, string(text)}, env...)
	if err != nil {
		return result{}, err
	}
	defer p.kill()
	if err := l.listens(ctx, port); err != nil {
		return result{}, err
	}
	r, err := l.sendMessages(ctx, p, t, port)
	if err != nil {
		return r, err
	}
	line, err := p.finish("{")
	if err != nil {
		return r, err
	}
	var took result
	if err := json.Unmarshal([]byte(line), &took); err != nil {
		return r, fmt.Errorf("read result of %s: %w", kind, err)
	}
	if took.Delivered != r.Delivered {
		return r, fmt.Errorf("count messages: %d were sent, and %d taken", r.Delivered, took.Delivered)
	}
	return r, nil
}

// listens waits until a UDP port is listened on.
func (l *lab) listens(ctx context.Context, port int) error {
	addr, err := netip.ParseAddr(l.host)
	if err != nil {
		return fmt.Errorf("read address: %w", err)
	}
	socket := netip.AddrPortFrom(addr, uint16(l.port+port))
	const patience = 20 * time.Second
	for began := time.Now(); time.Since(began) < patience && ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		if _, found, err := udpSocket(socket); found || err != nil {
			return err
		}
	}
	return errors.Join(fmt.Errorf("wait %v until %s is listened on: nobody does", patience, socket), ctx.Err())
}

// A daemon is a running evid, which receives SIP and HEP.
type daemon struct {
	*process
	mi *miclient.Client
}

// startDaemon runs evid with a script. It is to be killed.
func (l *lab) startDaemon(ctx context.Context, script string, env ...string) (*daemon, error) {
	config := fmt.Sprintf(`
log_level=1
socket=udp:%[1]s:%[2]d
socket=hep_udp:%[1]s:%[3]d
loadmodule "proto_udp.so"
loadmodule "proto_hep.so"
loadmodule "sl.so"
loadmodule "sipmsgops.so"
loadmodule "pike.so"
loadmodule "httpd.so"
modparam("httpd", "ip", "%[1]s")
modparam("httpd", "port", %[4]d)
loadmodule "mi_http.so"
modparam("queue", "mode", "memory")
%[5]s`, l.host, l.port+portSIP, l.port+portHEP, l.port+portMI, script)
	file := filepath.Join(l.dir, "evid.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	client, err := miclient.New("http://"+l.host+":"+strconv.Itoa(l.port+portMI)+"/mi", "")
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, []string{l.evid, "run", "-f", file}, env...)
	if err != nil {
		return nil, fmt.Errorf("%w: build it with make build, or say with -evid where it is", err)
	}
	if err := l.listens(ctx, portHEP); err != nil { // it comes last
		p.kill()
		return nil, err
	}
	return &daemon{p, client}, nil
}

func (d *daemon) kill() {
	d.mi.Close()
	d.process.kill()
}

// statistics returns the daemon's.
func (d *daemon) statistics(ctx context.Context) (map[string]uint64, error) {
	text, err := d.mi.Call(ctx, "get_statistics", []any{[]string{"all"}})
	if err != nil {
		return nil, fmt.Errorf("get statistics: %w", err)
	}
	var s map[string]uint64
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("read statistics: %w", err)
	}
	return s, nil
}

// check compares statistics with what they have to be.
func (d *daemon) check(ctx context.Context, want map[string]uint64) error {
	got, err := d.statistics(ctx)
	if err != nil {
		return err
	}
	for name, n := range want {
		if value, there := got[name]; !there || value != n {
			err = errors.Join(err, fmt.Errorf("read statistics: expected %s to be %d, got %d", name, n, value))
		}
	}
	return err
}
