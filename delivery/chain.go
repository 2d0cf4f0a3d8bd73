package delivery

// A chain is a list whose elements carry their own links: adding and removing
// allocates nothing, and what is in none costs two pointers. An element is in one
// chain at a time.
type chain[T any, E element[T]] struct {
	first, last E
	len         int
}

// An element has links for one chain.
type element[T any] interface {
	*T
	links() *links[T]
}

type links[T any] struct{ previous, next *T }

func (c *chain[T, E]) push(e E) {
	if c.last == nil {
		c.first = e
	} else {
		c.last.links().next = e
		e.links().previous = c.last
	}
	c.last = e
	c.len++
}

// pushFront puts e before all others.
func (c *chain[T, E]) pushFront(e E) {
	if c.first == nil {
		c.last = e
	} else {
		c.first.links().previous = e
		e.links().next = c.first
	}
	c.first = e
	c.len++
}

// pop removes and returns the first element; nil: there is none.
func (c *chain[T, E]) pop() E {
	e := c.first
	if e != nil {
		c.remove(e)
	}
	return e
}

// remove removes e, which must be in the chain.
func (c *chain[T, E]) remove(e E) {
	l := e.links()
	if l.previous == nil {
		c.first = l.next
	} else {
		E(l.previous).links().next = l.next
	}
	if l.next == nil {
		c.last = l.previous
	} else {
		E(l.next).links().previous = l.previous
	}
	*l = links[T]{}
	c.len--
}
