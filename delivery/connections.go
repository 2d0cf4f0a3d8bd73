package delivery

import (
	"slices"

	"github.com/evid/evid"
)

// Connections are those of a lane, the last one put in being the first one taken out.
// Most lanes have no more than one: it has its place here.
type connections struct {
	first  evid.Lane
	others *[]evid.Lane // nil: there were none yet
}

func (c *connections) len() int {
	switch {
	case c.first == nil:
		return 0
	case c.others == nil:
		return 1
	default:
		return 1 + len(*c.others)
	}
}

func (c *connections) push(conn evid.Lane) {
	if c.first == nil {
		c.first = conn
		return
	}
	if c.others == nil {
		c.others = new([]evid.Lane)
	}
	*c.others = append(*c.others, conn)
}

// pop takes a connection out; nil: there is none.
func (c *connections) pop() evid.Lane {
	conn := c.first
	if n := c.len() - 2; n >= 0 {
		conn = (*c.others)[n]
		*c.others = slices.Delete(*c.others, n, n+1)
	} else {
		c.first = nil
	}
	return conn
}

// idle says that nothing waits, and keeps those that should be kept.
func (c *connections) idle() {
	kept := connections{}
	c.each(func(conn evid.Lane) {
		if conn.Idle() {
			kept.push(conn)
		} else {
			conn.Close() // its error says nothing that could be acted upon
		}
	})
	*c = kept
}

// each calls do for each connection.
func (c *connections) each(do func(evid.Lane)) {
	if c.first != nil {
		do(c.first)
	}
	if c.others != nil {
		for _, conn := range *c.others {
			do(conn)
		}
	}
}
