package pike

import "github.com/evid/evid/modparam"

// Params are the parameters of module pike. [DefaultParams] returns the defaults.
type Params struct {
	Unit          int // seconds that requests are counted for
	Density       int // requests of one address in a unit that make it blocked: x
	RemoveLatency int // seconds that an address is remembered; if not above Unit, one more than that
	LogLevel      int // at which it is logged that an address is blocked or unblocked: see [loglevel.Slog]
	UnblockEvent  bool

	// CheckRoute is the route that decides in automatic mode; empty: there is none.
	//
	// In OpenSIPS (its manual, and pike_funcs.c) it then runs for every request and every
	// reply that comes from the network, also for what is no SIP, and before the main route
	// does. If it ends with drop, the address is not checked: it is trusted. However else it
	// ends, exit included, the address is, and if [Pike.Check] does not say [Pass], the
	// packet is dropped without an answer. A route that the script does not have is an error
	// of the configuration.
	CheckRoute string
}

// Limits of parameters.
const (
	maxUnit    = 86400     // seconds
	maxDensity = 1_000_000 // requests
	maxLatency = 7 * 86400 // seconds
)

// DefaultParams returns the values that parameters have when nothing is said: those of
// OpenSIPS.
func DefaultParams() Params {
	return Params{Unit: 2, Density: 30, RemoveLatency: 120, LogLevel: 1}
}

// Modparams lists the parameters for the script.
func (p *Params) Modparams() []modparam.Param {
	return []modparam.Param{
		{
			Name: "sampling_time_unit", Value: modparam.Int(&p.Unit, 1, maxUnit),
			Usage: "seconds that requests are counted for",
		},
		{
			Name: "reqs_density_per_unit", Value: modparam.Int(&p.Density, 1, maxDensity),
			Usage: "requests of one address in that time that make it blocked",
		},
		{
			Name: "remove_latency", Value: modparam.Int(&p.RemoveLatency, 1, maxLatency),
			Usage: "seconds that an address is remembered after its last request; more than sampling_time_unit in any case",
		},
		{
			Name: "check_route", Value: modparam.String(&p.CheckRoute),
			Usage: "route that runs for each packet, and says with drop that its address is not to be checked; without it only pike_check_req() checks",
		},
		{
			Name: "pike_log_level", Value: modparam.Int(&p.LogLevel, -3, 4),
			Usage: "level at which it is logged that an address is blocked or unblocked, from -3 to 4",
		},
		{
			Name: "unblock_event", Value: modparam.Bool(&p.UnblockEvent),
			Usage: "raise E_PIKE_UNBLOCKED when an address is unblocked",
		},
	}
}

// latency is RemoveLatency as it counts. An address must not be forgotten before its unit is
// over.
func (p Params) latency() int { return max(p.RemoveLatency, p.Unit+1) }
