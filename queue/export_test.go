package queue

// LimitMemory bounds how many events of a list are in memory.
func (q *Queue) LimitMemory(events int) { q.memory.events = events }
