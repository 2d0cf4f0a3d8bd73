package ratelimit

import (
	"fmt"
	"math"
	"strings"

	"github.com/evid/evid/modparam"
)

// An Algorithm says which checks pass.
type Algorithm uint8

// The algorithms: see the package.
const (
	Default  Algorithm = iota // Params.DefaultAlgorithm
	TailDrop                  // "TAILDROP"
	SBT                       // "SBT", slot based tail drop
)

func (a Algorithm) String() string { return [...]string{"default", "TAILDROP", "SBT"}[a] }

// ParseAlgorithm returns the algorithm of this name, in letters of any case. The error says
// which there are.
func ParseAlgorithm(name string) (Algorithm, error) {
	switch strings.ToUpper(name) {
	case "TAILDROP":
		return TailDrop, nil
	case "SBT":
		return SBT, nil
	case "RED", "NETWORK", "FEEDBACK", "HISTORY":
		return 0, fmt.Errorf("algorithm %s is not supported: expected TAILDROP or SBT", name)
	default:
		return 0, fmt.Errorf("unknown algorithm %.64q: expected TAILDROP or SBT", name)
	}
}

// Params are the parameters of module ratelimit. [DefaultParams] returns the defaults.
type Params struct {
	TimerInterval    int  // seconds
	LimitPerInterval bool // limits of TAILDROP are not per second
	WindowSize       int  // seconds
	SlotPeriod       int  // milliseconds
	ExpireTime       int  // seconds
	DefaultAlgorithm Algorithm
	MaxBytes         int // of all pipes: see cost
}

// DefaultParams returns the values that parameters have when nothing is said.
func DefaultParams() Params {
	return Params{
		TimerInterval: 10, WindowSize: 10, SlotPeriod: 200, ExpireTime: 3600,
		DefaultAlgorithm: TailDrop, MaxBytes: 64 << 20,
	}
}

const day = 86400 // seconds

// Modparams lists the parameters for the script.
func (p *Params) Modparams() []modparam.Param {
	return []modparam.Param{
		{
			Name: "timer_interval", Value: modparam.Int(&p.TimerInterval, 1, day),
			Usage: "TAILDROP: seconds after which counters start again",
		},
		{
			Name: "limit_per_interval", Value: modparam.Bool(&p.LimitPerInterval),
			Usage: "TAILDROP: limits are for each timer_interval; 0: for each second",
		},
		{
			Name: "window_size", Value: modparam.Int(&p.WindowSize, 1, day),
			Usage: "SBT: seconds that the limit is for, those just past",
		},
		{
			Name: "slot_period", Value: modparam.Int(&p.SlotPeriod, 1, day*1000),
			Usage: "SBT: milliseconds by which the window moves on; window_size is a multiple of it",
		},
		{
			Name: "expire_time", Value: modparam.Int(&p.ExpireTime, 0, math.MaxInt32),
			Usage: "seconds after which a pipe goes that is not used",
		},
		{
			Name: "default_algorithm", Value: modparam.Func(modparam.Text, p.algorithm, p.setAlgorithm),
			Usage: "the algorithm where rl_check names none: TAILDROP or SBT",
		},
		{
			Name: "max_bytes", Value: modparam.Int(&p.MaxBytes, 1<<16, 1<<40),
			Usage: "bytes of the names of all pipes, 192 for each, and with SBT 9 for each slot, at most",
		},
	}
}

func (p *Params) algorithm() string { return p.DefaultAlgorithm.String() }

func (p *Params) setAlgorithm(name string) error {
	a, err := ParseAlgorithm(name)
	if err == nil {
		p.DefaultAlgorithm = a
	}
	return err
}

// Ignored are the parameters of OpenSIPS' module that have nothing to act upon here, with
// the reason.
func Ignored() map[string]string {
	const alone = "nothing is replicated: each evid counts for itself"
	return map[string]string{
		"hash_size":                  "tables grow as needed",
		"cachedb_url":                alone,
		"db_prefix":                  alone,
		"repl_buffer_threshold":      alone,
		"repl_timer_interval":        alone,
		"repl_timer_expire":          alone,
		"bridge_replication":         alone,
		"bridge_repl_timer_interval": alone,
		"bridge_repl_timer_expire":   alone,
		"pipe_replication_cluster":   alone,
	}
}
