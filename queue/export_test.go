package queue

// LimitMemory bounds how many events of a list are in memory.
func (q *Queue) LimitMemory(events int) { q.memory.events = events }

// MaxLogBytes is how large the event log may be.
func (q *Queue) MaxLogBytes() uint64 { return uint64(q.disk.maxBytes) }

// FillMemory counts as much as all lists may have in memory.
func (q *Queue) FillMemory() { q.disk.inMemory.Add(memoryOfAll) }

// InMemory counts the events of a name that are in memory.
func (q *Queue) InMemory(event string) int {
	l := q.find(event)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ring.len()
}

// Marks counts the marks of a name.
func (q *Queue) Marks(event string) int {
	l := q.find(event)
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.marks)
}
