package core

import (
	"github.com/evid/evid/modparam"
)

// Params are the globals about core events. The zero value has the defaults.
type Params struct {
	LogEvent         bool
	LogLevelFilter   int // as log_level; 0: all that is logged
	ExecMsgThreshold int // microseconds; 0: nothing takes too long
	PkgThreshold     int // per cent of Memory; 0: never
	ShmThreshold     int // per cent of Memory; 0: never

	Memory uint64 // bytes that the heap should have; 0: unknown, and no threshold is passed
}

// Globals lists the globals for the script.
func (p *Params) Globals() []modparam.Param {
	return []modparam.Param{
		{
			Name: "log_event_enabled", Value: modparam.Bool(&p.LogEvent),
			Usage: "each line of the log raises E_CORE_LOG",
		},
		{
			Name: "log_event_level_filter", Value: modparam.Int(&p.LogLevelFilter, -3, 4),
			Usage: "the highest level that raises E_CORE_LOG, below log_level; 0: all that is logged",
		},
		{
			Name: "exec_msg_threshold", Value: modparam.Int(&p.ExecMsgThreshold, 0, 1<<31-1),
			Usage: "microseconds that a route or a delivery may take; what takes longer raises E_CORE_THRESHOLD; 0: never",
		},
		{
			Name: "event_shm_threshold", Value: modparam.Int(&p.ShmThreshold, 0, 100),
			Usage: "per cent of the memory that evid run -m gives; from there on E_CORE_SHM_THRESHOLD is raised; 0: never",
		},
		{
			Name: "event_pkg_threshold", Value: modparam.Int(&p.PkgThreshold, 0, 100),
			Usage: "as event_shm_threshold, for E_CORE_PKG_THRESHOLD: there is but one memory here",
		},
	}
}

func (p *Params) watchesMemory() bool { return p.Memory > 0 && p.PkgThreshold+p.ShmThreshold > 0 }
