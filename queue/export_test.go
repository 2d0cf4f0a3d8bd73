package queue

// LimitMemory bounds how many events of a list are in memory.
func (q *Queue) LimitMemory(events int) { q.memory.events = events }

// MaxLogBytes is how large the event log may be.
func (q *Queue) MaxLogBytes() uint64 { return uint64(q.disk.maxBytes) }
