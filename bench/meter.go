package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A meter measures what this process spends from its start on.
type meter struct {
	began   time.Time
	cpu     time.Duration
	mallocs uint64
}

// startMeter collects the garbage of what was before, and starts.
func startMeter() (meter, error) {
	runtime.GC()
	cpu, err := cpuTime()
	return meter{time.Now(), cpu, mallocs()}, err
}

// stop fills in what each of so many events took.
func (m meter) stop(events int64, r *result) error {
	took := time.Since(m.began)
	cpu, err := cpuTime()
	if err != nil {
		return err
	}
	if events == 0 {
		return fmt.Errorf("measure for %v: nothing was delivered", took)
	}
	r.Rate = float64(events) / took.Seconds()
	r.CPU = float64((cpu - m.cpu).Nanoseconds()) / 1e3 / float64(events)
	r.Allocs = float64(mallocs()-m.mallocs) / float64(events)
	return nil
}

// cpuTime is what this process has used of the processors.
func cpuTime() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("get processor time: %w", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

func mallocs() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.Mallocs
}

// heapInUse is the bytes of live heap and of stacks.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools held goes with the second
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc + stats.StackInuse
}

// resident returns how much memory the process has now, in bytes, and makes the most
// that it had count from here.
func resident() (uint64, error) {
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return 0, fmt.Errorf("reset peak of memory: %w", err)
	}
	return statusBytes(os.Getpid(), "VmRSS")
}

// peakResident returns the most memory that the process had since resident.
func peakResident() (uint64, error) { return statusBytes(os.Getpid(), "VmHWM") }

func statusBytes(pid int, name string) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read status of process: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if key, value, _ := strings.Cut(line, ":"); key == name {
			kilobytes, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read %s of process: %w", name, err)
			}
			return kilobytes << 10, nil
		}
	}
	return 0, fmt.Errorf("read status of process: expected a line %s", name)
}

// openFiles counts the files that the process has open.
func openFiles() (int, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, fmt.Errorf("count open files: %w", err)
	}
	return len(entries), nil
}
