package mi

import (
	"runtime/metrics"
	"time"
)

// AddProcess adds the groups core and shmem: what OpenSIPS tells about itself,
// as far as it has a meaning for one Go process.
func (s *Statistics) AddProcess(started time.Time) {
	s.Add("core", func() []Statistic {
		return []Statistic{{Name: "timestamp", Value: uint64(time.Since(started) / time.Second)}}
	})
	var memory heap
	s.Add("shmem", memory.read)
}

// heap stands for the shared memory of OpenSIPS. It remembers the most that
// was ever seen in use: the runtime does not.
type heap struct{ maxUsed uint64 }

// read returns the size of the heap in bytes under the names of OpenSIPS:
// total = real_used + free, and real_used is used and what that wastes.
func (h *heap) read() []Statistic {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	objects, unused := samples[0].Value.Uint64(), samples[1].Value.Uint64()
	free := samples[2].Value.Uint64() + samples[3].Value.Uint64()
	used := objects + unused
	h.maxUsed = max(h.maxUsed, used)
	return []Statistic{
		{Name: "total_size", Value: used + free},
		{Name: "max_used_size", Value: h.maxUsed},
		{Name: "free_size", Value: free},
		{Name: "used_size", Value: objects},
		{Name: "real_used_size", Value: used},
	}
}
