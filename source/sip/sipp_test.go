package sip_test

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/evid/evid/source/sip"
)

// optionsScenario sends an OPTIONS and waits for 200.
const optionsScenario = `<?xml version="1.0"?>
<scenario name="options">
<send retrans="500"><![CDATA[
OPTIONS sip:bob@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:sipp@[local_ip]>;tag=[call_number]
To: <sip:bob@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 OPTIONS
Content-Length: 0

]]></send>
<recv response="200"/>
</scenario>
`

// 120 requests of sipp in 0.24 s, as in the captures of pike: each gets 200.
func TestSipp(t *testing.T) {
	sipp, err := exec.LookPath("sipp")
	if err != nil {
		t.Fatalf("%v: it is the Debian package sip-tester, see test/deps.sh", err)
	}
	scenario := filepath.Join(t.TempDir(), "options.xml")
	if err := os.WriteFile(scenario, []byte(optionsScenario), 0o600); err != nil {
		t.Fatal(err)
	}
	for proto, mode := range map[string]string{sip.UDP: "u1", sip.TCP: "t1"} {
		t.Run(proto, func(t *testing.T) {
			var users atomic.Int64
			opts := options(proto)
			opts.Handler = func(ctx context.Context, r *sip.Request) {
				if r.URI().User() == "bob" {
					users.Add(1)
				}
				answer(ctx, r)
			}
			server, addr := start(t, opts)
			port := int(netip.MustParseAddrPort(addr).Port())
			cmd := exec.CommandContext(t.Context(), sipp, "-sf", scenario, "-m", "120", "-r", "500", "-t", mode, "-i", "127.0.0.1",
				"-nostdin", "-timeout", "30", "-timeout_error", "127.0.0.1:"+strconv.Itoa(port))
			if out, err := cmd.CombinedOutput(); err != nil { // it fails if a call does
				t.Fatalf("sipp: %v\n%s", err, out)
			}
			stats := server.Stats()
			if users.Load() < 120 || stats.Replied != stats.Requests || stats.Malformed != 0 {
				t.Errorf("%d of 120 requests, %+v", users.Load(), stats)
			}
		})
	}
}
