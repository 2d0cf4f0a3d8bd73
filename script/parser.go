package script

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/evid/evid/internal/spell"
)

// ParseFile reads and parses the file at path. When it cannot be read the File
// is nil and the error that of reading it; else they are as [Parse] says.
func ParseFile(path string) (*File, error) {
	src, err := read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, src, ReadFile)
}

// ReadFile reads a file that a text includes, for [Parse]. A pipe is an error: it could be
// waited for without end, and whoever includes it has to go on.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		err = &os.PathError{Op: "open", Path: path, Err: errors.New("expected a file, it is a pipe")}
	}
	if err != nil {
		return nil, err
	}
	return read(path)
}

// read reads a file: the whole of it, but if it is too large (or a device that never ends)
// no more than it takes [Parse] to see and say that.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFileSize+1))
}

// Parse parses a configuration text. Name is what errors call it: the path of a
// file, or a word like <built-in>. Open reads the files that the text includes;
// it gets their path, which is relative to the directory of the including file
// unless it was written absolute; [ReadFile] is one. With a nil open nothing can
// be included.
//
// An error is always of type [Errors]. The File is never nil: it has all the
// statements that could be understood, so that [File.Apply] can say what else is
// wrong.
func Parse(name string, src []byte, open func(path string) ([]byte, error)) (*File, error) {
	file := &File{sources: map[string]string{}}
	p := &parser{file: file, errs: &file.errs, open: open}
	p.text(name, src, Pos{File: name}, p.statements)
	return file, file.errs.err()
}

// A parser is a recursive-descent parser with one token of look-ahead. A method
// for a production returns false when it has reported an error; statement then
// skips to where the next one begins.
type parser struct {
	file  *File
	errs  *errorList
	open  func(path string) ([]byte, error)
	files []string // being parsed, each included by the one before it
	size  int      // of all the files so far

	lex  lexer
	prev token
	tok  token // the next one

	depth    int // of the actions and expressions that are being parsed
	operands int // of the expression that is being parsed
}

// text parses one file; errors with the file as a whole are reported at pos.
func (p *parser) text(name string, src []byte, at Pos, parse func()) {
	if len(src) > maxFileSize {
		p.errs.add(at, "%s is too large: expected at most %d bytes", name, maxFileSize)
		return
	}
	p.size += len(src)
	if p.size > maxTotalSize {
		p.errs.add(at, "%s is too large: expected at most %d bytes in all files together", name, maxTotalSize)
		return
	}
	text := string(src)
	p.file.sources[name] = text
	p.files = append(p.files, filepath.Clean(name))
	p.lex = newLexer(name, text, p.errs)
	p.prev = token{}
	p.next()
	parse()
	if p.lex.off < len(text) {
		p.errs.stop(p.tok.pos)
	}
	p.files = p.files[:len(p.files)-1]
}

func (p *parser) next() { p.prev, p.tok = p.tok, p.lex.next() }

func (p *parser) statements() {
	for p.tok.kind != tokEOF {
		p.statement()
	}
}

func (p *parser) statement() {
	s, ok := p.parseStatement()
	if !ok {
		p.recover()
		return
	}
	if s != nil {
		p.file.Stmts = append(p.file.Stmts, s)
	}
	if p.tok.is(";") {
		p.next()
	}
}

// recover skips to the next line that begins with a word, over blocks as a
// whole.
func (p *parser) recover() {
	for p.tok.kind != tokEOF && (!p.tok.first || p.tok.kind != tokIdent) {
		if p.tok.is("{") {
			p.lex.block(p.tok.pos)
		}
		p.next()
	}
}

// parseStatement parses one statement; the Stmt of an include is nil.
func (p *parser) parseStatement() (Stmt, bool) {
	word, hint := p.tok, p.hint()
	p.next()
	if word.kind != tokIdent {
		p.errs.add(word.pos, "unexpected %v: expected %s%s", word, anyStatement, hint)
		return nil, false
	}
	switch {
	case p.tok.is("="):
		return p.global(word)
	case word.text == wordLoadModule:
		return p.loadModule(word)
	case word.text == wordModParam:
		return p.modParam(word)
	case isInclude(word.text):
		return nil, p.include(word, p.statements)
	case isRouteWord(word.text):
		return p.route(word)
	}
	p.errs.add(word.pos, "unknown statement %v: %sexpected %s%s",
		word, didYouMean(word.text, statementWords()), anyStatement, hint)
	return nil, false
}

// unexpected reports the next token, or the end of the line before it, where
// something else was expected. It returns false.
func (p *parser) unexpected(expected string) bool {
	if p.tok.first {
		p.errs.add(p.prev.end, "unexpected end of the line: expected %s%s", expected, p.hint())
	} else {
		p.errs.add(p.tok.pos, "unexpected %v: expected %s%s", p.tok, expected, p.hint())
	}
	return false
}

// hint explains the commonest mistakes that make the next token unexpected; it
// is empty when none is likely.
func (p *parser) hint() string {
	switch {
	case p.tok.is("//"):
		return "; comments begin with # or stand between /* and */"
	case p.tok.is(".") && p.prev.kind == tokInteger:
		return "; an address stands in quotes, and networks cannot be compared"
	case p.tok.is("=") && p.depth > 0:
		return "; to compare, write =="
	}
	if p.prev.kind == tokString && p.prev.end.Line > p.prev.pos.Line {
		return fmt.Sprintf("; the string before it began in line %d, is a quote missing there?", p.prev.pos.Line)
	}
	return ""
}

// expect takes this operator.
func (p *parser) expect(operator, where string) bool {
	if !p.tok.is(operator) {
		return p.unexpected(fmt.Sprintf("%q %s", operator, where))
	}
	p.next()
	return true
}

func (p *parser) expectString(what string) (*String, bool) {
	if p.tok.kind != tokString {
		return nil, p.unexpected(what + " in quotes")
	}
	s := &String{p.tok.pos, p.tok.text}
	p.next()
	return s, true
}

func (p *parser) loadModule(word token) (Stmt, bool) {
	module, ok := p.expectString("the name of a module")
	if !ok {
		return nil, false
	}
	return &LoadModule{word.pos, module}, true
}

func (p *parser) modParam(word token) (Stmt, bool) {
	if !p.expect("(", "after modparam") {
		return nil, false
	}
	module, ok := p.expectString("the name of a module")
	if !ok || !p.expect(",", "after the name of the module") {
		return nil, false
	}
	param, ok := p.expectString("the name of a parameter")
	if !ok || !p.expect(",", "after the name of the parameter") {
		return nil, false
	}
	value, ok := p.modParamValue()
	if !ok || !p.expect(")", "after the value") {
		return nil, false
	}
	return &ModParam{word.pos, module, param, value}, true
}

// modParamValue parses strings or a number, which may have a sign.
func (p *parser) modParamValue() (Value, bool) {
	if p.tok.kind == tokString {
		pos := p.tok.pos
		var text strings.Builder
		for ; p.tok.kind == tokString; p.next() {
			text.WriteString(p.tok.text)
		}
		return &String{pos, text.String()}, true
	}
	pos, source := p.tok.pos, ""
	if p.tok.is("-") || p.tok.is("+") {
		source = p.tok.text
		p.next()
	}
	source += p.tok.text
	n, err := integer(pos, source)
	if err != nil || p.tok.kind == tokString {
		return nil, p.unexpected("an integer or a string in quotes")
	}
	p.next()
	return n, true
}

// integer makes an Integer of its text: decimal, hexadecimal after 0x, octal
// after 0, or a word for 1 or 0.
func integer(pos Pos, source string) (*Integer, error) {
	if n, ok := boolean(source); ok {
		return &Integer{pos, source, n}, nil
	}
	digits, negative := strings.CutPrefix(source, "-")
	if !negative {
		digits = strings.TrimPrefix(digits, "+")
	}
	base := 10
	if hex, ok := strings.CutPrefix(digits, "0x"); ok {
		digits, base = hex, 16
	} else if len(digits) > 1 && digits[0] == '0' {
		base = 8
	}
	n, err := strconv.ParseUint(digits, base, 63)
	if err != nil {
		return nil, err
	}
	if negative {
		return &Integer{pos, source, -int64(n)}, nil
	}
	return &Integer{pos, source, int64(n)}, nil
}

// route parses a route block from its [ or { on.
func (p *parser) route(word token) (Stmt, bool) {
	r := &Route{Pos: word.pos, Kind: word.text}
	if p.tok.is("[") {
		for more := true; more; more = p.tok.is(",") {
			p.next()
			arg, ok := p.routeArg()
			if !ok {
				return nil, false
			}
			r.Args = append(r.Args, arg)
		}
		if !p.expect("]", "after the arguments of "+word.text) {
			return nil, false
		}
	}
	if !p.tok.is("{") {
		return nil, p.unexpected(`"{" or "[" after ` + word.text)
	}
	var ok bool
	r.Body, ok = p.routeBody()
	return r, ok
}

func (p *parser) routeArg() (Value, bool) {
	tok := p.tok
	switch tok.kind {
	case tokIdent:
		p.next()
		return &Word{tok.pos, tok.text}, true
	case tokString:
		p.next()
		return &String{tok.pos, tok.text}, true
	case tokInteger:
		if n, err := integer(tok.pos, tok.text); err == nil {
			p.next()
			return n, true
		}
	}
	return nil, p.unexpected("a name, a string or an integer")
}

// include parses the file that the statement names, in the place of it.
func (p *parser) include(word token, parse func()) bool {
	name, ok := p.expectString("the name of a file")
	if !ok {
		return false
	}
	if p.open == nil {
		p.errs.add(name.Pos, "%s %v: no file can be included here", word.text, name)
		return true
	}
	path := name.Value
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(name.File), path)
	}
	if slices.Contains(p.files, filepath.Clean(path)) {
		p.errs.add(name.Pos, "%s %v: the file includes itself", word.text, name)
		return true
	}
	if len(p.files) > maxIncludeDepth {
		p.errs.add(name.Pos, "%s %v: included too deep: expected at most %d files within each other", word.text, name, maxIncludeDepth)
		return true
	}
	if p.size > maxTotalSize {
		return true // said already
	}
	src, err := p.open(path)
	if err != nil {
		p.errs.add(name.Pos, "%s %v: %v", word.text, name, err)
		return true
	}
	lex, prev, tok := p.lex, p.prev, p.tok
	p.text(path, src, name.Pos, parse)
	p.lex, p.prev, p.tok = lex, prev, tok
	return true
}

// didYouMean begins a hint with the names nearest to word; it is empty when none
// is near.
func didYouMean(word string, known []string) string {
	near := spell.Nearest(word, known)
	if len(near) == 0 {
		return ""
	}
	return "did you mean " + strings.Join(near, " or ") + "? "
}
