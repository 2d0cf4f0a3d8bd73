package program

import (
	"context"
	"io"
	"regexp"
	"strings"
	"sync"

	"github.com/evid/evid/script"
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

// matches ends early when the script is to stop: with a large expression, each MiB of a text
// takes many seconds.
func (r *Run) matches(pos script.Pos, re *regexp.Regexp, text string) bool {
	const short = 1 << 16 // matched faster than one that is read
	if len(text) <= short {
		return re.MatchString(text)
	}
	matched := re.MatchReader(&stoppable{ctx: r.ctx, text: strings.NewReader(text)})
	if err := r.ctx.Err(); err != nil {
		r.fail(pos, "the script was stopped: %w", err)
	}
	return matched
}

// A stoppable is a text that ends once ctx is done.
type stoppable struct {
	ctx  context.Context
	text *strings.Reader
	read int
}

// ReadRune implements [io.RuneReader].
func (s *stoppable) ReadRune() (c rune, size int, err error) {
	const often = 1024
	if s.read++; s.read%often == 0 && s.ctx.Err() != nil {
		return 0, 0, io.EOF
	}
	return s.text.ReadRune()
}
