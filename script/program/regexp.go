package program

import (
	"regexp"
	"sync"

	"github.com/evid/evid/script/posix"
)

// maxRegexps bounds the expressions that come out of variables and are kept compiled.
const maxRegexps = 256

// A regexpCache keeps the regular expressions that are not known before the script runs.
type regexpCache struct {
	mu    sync.Mutex
	byExp map[string]*regexp.Regexp
}

// get compiles an expression, or has it from before.
func (c *regexpCache) get(expression string) (*regexp.Regexp, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if re := c.byExp[expression]; re != nil {
		return re, nil
	}
	re, err := posix.Compile(expression, true)
	if err != nil {
		return nil, err
	}
	if c.byExp == nil || len(c.byExp) == maxRegexps {
		c.byExp = make(map[string]*regexp.Regexp) // simpler than finding the oldest, and as bounded
	}
	c.byExp[expression] = re
	return re, nil
}
