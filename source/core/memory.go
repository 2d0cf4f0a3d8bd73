package core

import (
	"context"
	"runtime/metrics"
	"time"

	"github.com/evid/evid"
)

// memoryInterval is how often the memory is looked at.
const memoryInterval = time.Second

// watchMemory raises the thresholds of the memory, as OpenSIPS does: at or above one
// whenever the per cents in use have changed, and once below it again.
func (s *Source) watchMemory(ctx context.Context) {
	ticker := time.NewTicker(memoryInterval)
	defer ticker.Stop()
	pkg, shm := threshold{at: s.params.PkgThreshold}, threshold{at: s.params.ShmThreshold}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		used := heapInUse()
		if usage, passed := pkg.passed(used, s.params.Memory); passed {
			s.tell(EventPkgThreshold, append(s.memoryParams(usage, pkg.at, used), pid())...)
		}
		if usage, passed := shm.passed(used, s.params.Memory); passed {
			s.tell(EventShmThreshold, s.memoryParams(usage, shm.at, used)...)
		}
	}
}

func (s *Source) memoryParams(usage, at int, used uint64) []evid.Param {
	return []evid.Param{
		evid.Int("usage", int64(usage)), evid.Int("threshold", int64(at)),
		evid.Int("used", int64(used)), evid.Int("size", int64(s.params.Memory)),
	}
}

// A threshold is one that the use of memory may pass.
type threshold struct {
	at   int // per cent; 0: none
	last int // the usage that was told last
}

// passed returns the usage in per cent, and whether it is to be told.
func (t *threshold) passed(used, size uint64) (usage int, tell bool) {
	usage = int(min(used*100/size, 100))
	if t.at == 0 || usage == t.last || usage < t.at && t.last < t.at {
		return usage, false
	}
	t.last = usage
	return usage, true
}

// heapInUse is what stands for the memory in use: objects, and what they waste.
func heapInUse() uint64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
	}
	metrics.Read(samples)
	return samples[0].Value.Uint64() + samples[1].Value.Uint64()
}
