package pike

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/evid/evid/modparam"
	"github.com/evid/evid/script"
	"github.com/evid/evid/script/program"
)

// A request comes from an address.
type request netip.AddrPort

func (r request) Source() netip.AddrPort { return netip.AddrPort(r) }

// A script sees 1, once -2, and then -1, for the address that each request comes from.
func TestScript(t *testing.T) {
	p := New(DefaultParams(), Options{})
	results := make(map[int64]int)
	note := program.Function{
		Name: "note", Params: []program.Param{{Name: "result", Type: program.Integer}},
		Bind: func(b *program.Binding) (program.Call, error) {
			result := b.Int(0, 0)
			return func(r *program.Run) (int64, error) {
				n, err := result(r)
				results[n]++
				return program.True, err
			}, nil
		},
	}
	file, err := script.Parse("evid.cfg", []byte(`
route {
	pike_check_req();
	note($rc);
	if (pike_check_req())
		note(7);
}
route[none] {
	if (pike_check_req())
		return(5);
	return(-5);
}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	routes, _, errs := program.Compile(file, program.Options{
		Library: program.Library{Functions: append(p.Functions(), note)},
		Loaded:  []string{"pike"},
		Log:     slog.New(slog.NewTextHandler(&log, nil)),
	})
	if errs != nil {
		t.Fatal(errs)
	}
	for range 40 {
		if err := routes.RunRequest(t.Context(), request(netip.MustParseAddrPort("192.0.2.1:5060"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := routes.RunRequest(t.Context(), request(netip.MustParseAddrPort("[2001:db8::1]:5060"))); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(results), "map[-2:1 -1:20 1:20 7:20]"; got != want {
		t.Errorf("results %s, want %s", got, want)
	}
	if result, err := routes.RunRoute(t.Context(), "none", nil); result != -5 || err != nil {
		t.Errorf("without a request: %d, %v, want -5", result, err)
	}
	if !strings.Contains(log.String(), "no request is at hand") {
		t.Errorf("without a request the log has\n%s", log.String())
	}
}

func TestModparams(t *testing.T) {
	params := DefaultParams()
	for _, test := range []struct {
		name, before, text string
		as                 modparam.Type
		want               string // the value as it prints, or the error
	}{
		{"sampling_time_unit", "2", "10", modparam.Integer, "10"},
		{"sampling_time_unit", "10", "0", modparam.Integer, `sampling_time_unit: expected an integer from 1 to 86400, got "0"`},
		{"reqs_density_per_unit", "30", "65536", modparam.Integer, "65536"},
		{"reqs_density_per_unit", "65536", "0", modparam.Integer, `reqs_density_per_unit: expected an integer from 1 to 1000000, got "0"`},
		{"remove_latency", "120", "4", modparam.Integer, "4"},
		{"check_route", "", "pike", modparam.Text, "pike"},
		{"pike_log_level", "1", "-1", modparam.Integer, "-1"},
		{"pike_log_level", "-1", "5", modparam.Integer, `pike_log_level: expected an integer from -3 to 4, got "5"`},
		{"unblock_event", "0", "1", modparam.Integer, "1"},
	} {
		p, err := modparam.Find(params.Modparams(), test.name)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Value.String(); got != test.before {
			t.Errorf("%s is %s, want %s", test.name, got, test.before)
		}
		err = modparam.Assign(params.Modparams(), test.name, test.text, test.as)
		got := p.Value.String()
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s=%s: %s, want %s", test.name, test.text, got, test.want)
		}
	}
	want := Params{Unit: 10, Density: 65536, RemoveLatency: 4, CheckRoute: "pike", LogLevel: -1, UnblockEvent: true}
	if params != want {
		t.Errorf("%+v, want %+v", params, want)
	}
	if latency := params.latency(); latency != 11 {
		t.Errorf("remove_latency counts as %d, want 11", latency)
	}
}
