package xmlrpc

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A scanner splits an XML document into tags and the text before each of them.
// It is not encoding/xml because every delivery ends with one small response:
// this takes a third of the time and allocates nothing but text that is not as it
// stands in the document. A fuzz test holds that it reads what encoding/xml reads just as that does.
// Whether end tags match is for the decoder, which knows what it expects.
type scanner struct {
	rest     []byte // UTF-8, what is still to be read
	text     []byte // see tag
	closing  []byte // the name of an element <name/> whose end tag is still to be returned
	elements int    // how many may still start
	limit    int    // how many may start in all
}

type tagKind uint8

const (
	startTag tagKind = iota
	endTag
	endOfDocument
)

// A tag is a start tag, an end tag or the end of the document.
type tag struct {
	kind tagKind
	name []byte
	text []byte // what stands before the tag; valid until the next one is read
}

func (t tag) is(kind tagKind, name string) bool {
	return t.kind == kind && string(t.name) == name
}

// String is the tag as error texts name it: what could disturb a terminal is
// escaped.
func (t tag) String() string {
	name := strings.Trim(fmt.Sprintf("%.40q", t.name), `"`) // no name has a quote in it
	switch t.kind {
	case startTag:
		return "<" + name + ">"
	case endTag:
		return "</" + name + ">"
	default:
		return "the end of the document"
	}
}

var (
	errDoctype = errors.New("document type declarations are not accepted")
	errName    = errors.New("expected the name of an element after <")
)

func newScanner(document []byte, maxElements int) (scanner, error) {
	document = bytes.TrimPrefix(document, []byte("\xEF\xBB\xBF"))
	switch encoding := declaredEncoding(document); strings.ToLower(encoding) {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
	case "iso-8859-1", "latin1":
		document = latin1ToUTF8(document)
	default:
		return scanner{}, fmt.Errorf("expected encoding UTF-8, US-ASCII or ISO-8859-1, got %.40q", encoding)
	}
	return scanner{rest: document, elements: maxElements, limit: maxElements}, nil
}

// declaredEncoding returns the encoding that the XML declaration names.
func declaredEncoding(document []byte) string {
	document, isDeclared := bytes.CutPrefix(trimBlanks(document), []byte("<?xml"))
	if !isDeclared {
		return ""
	}
	declaration, _, _ := bytes.Cut(document, []byte("?>"))
	_, value, _ := bytes.Cut(declaration, []byte("encoding"))
	value, found := bytes.CutPrefix(trimBlanks(value), []byte("="))
	value = trimBlanks(value)
	if !found || len(value) == 0 {
		return ""
	}
	quote := value[:1]
	value, _, _ = bytes.Cut(value[1:], quote)
	return string(value)
}

func latin1ToUTF8(document []byte) []byte {
	utf8Text := make([]byte, 0, len(document)+len(document)/8)
	for _, c := range document {
		utf8Text = utf8.AppendRune(utf8Text, rune(c))
	}
	return utf8Text
}

// next returns the next tag. Comments and processing instructions are skipped;
// the text around them is one.
func (s *scanner) next() (tag, error) {
	s.text = nil
	if s.closing != nil {
		name := s.closing
		s.closing = nil
		return tag{kind: endTag, name: name}, nil
	}
	for {
		text, markup := cutAt(s.rest, '<')
		s.rest = markup
		if len(text) > 0 {
			if err := s.addText(text); err != nil {
				return tag{}, err
			}
		}
		switch {
		case len(markup) == 0:
			return tag{kind: endOfDocument, text: s.text}, nil
		case s.skip("</"):
			return s.endTag()
		case !s.skip("<?") && !s.skip("<!"):
			s.rest = markup[1:]
			return s.startTag()
		}
		if err := s.other(markup[1]); err != nil {
			return tag{}, err
		}
	}
}

// other reads what is no tag, behind <? or <!.
func (s *scanner) other(mark byte) (err error) {
	switch {
	case mark == '?':
		_, err = s.upTo("?>", "processing instruction")
	case s.skip("--"):
		_, err = s.upTo("-->", "comment")
	case s.skip("[CDATA["):
		var data []byte
		if data, err = s.upTo("]]>", "CDATA section"); err == nil {
			s.addCharacters(data)
		}
	default:
		err = errDoctype
	}
	return err
}

// skipStart reads the start tag <name> if just that is what comes next: most
// tags need no closer look.
func (s *scanner) skipStart(name string) bool {
	n := len(name)
	if s.elements == 0 || s.closing != nil || len(s.rest) < n+2 ||
		s.rest[0] != '<' || s.rest[n+1] != '>' || string(s.rest[1:n+1]) != name {
		return false
	}
	s.rest = s.rest[n+2:]
	s.elements--
	return true
}

// skipEnd reads the end tag </name> if just that is what comes next.
func (s *scanner) skipEnd(name string) bool {
	n := len(name)
	if s.closing != nil || len(s.rest) < n+3 ||
		s.rest[0] != '<' || s.rest[1] != '/' || s.rest[n+2] != '>' || string(s.rest[2:n+2]) != name {
		return false
	}
	s.rest = s.rest[n+3:]
	return true
}

// skip reads prefix if that is what comes next.
func (s *scanner) skip(prefix string) bool {
	if len(s.rest) < len(prefix) || string(s.rest[:len(prefix)]) != prefix {
		return false
	}
	s.rest = s.rest[len(prefix):]
	return true
}

// upTo reads up to the end of what is called what, and returns what stands before the end.
func (s *scanner) upTo(end, what string) ([]byte, error) {
	inside, rest, found := bytes.Cut(s.rest, []byte(end))
	if !found {
		return nil, fmt.Errorf("expected %s at the end of a %s, got the end of the document", end, what)
	}
	s.rest = rest
	return inside, nil
}

// name reads the name of an element or attribute.
func (s *scanner) name() []byte {
	end := 0
	for end < len(s.rest) && !endsName(s.rest[end]) {
		end++
	}
	name := s.rest[:end]
	s.rest = s.rest[end:]
	return name
}

func endsName(c byte) bool {
	switch c {
	case '/', '>', '=', '<', '\'', '"', '&':
		return true
	default:
		return isBlank(c)
	}
}

func (s *scanner) skipBlanks() {
	for len(s.rest) > 0 && isBlank(s.rest[0]) {
		s.rest = s.rest[1:]
	}
}

func (s *scanner) endTag() (tag, error) {
	t := tag{kind: endTag, name: s.name(), text: s.text}
	s.skipBlanks()
	if !s.skip(">") {
		return tag{}, fmt.Errorf("expected > at the end of %s", t)
	}
	return t, nil
}

func (s *scanner) startTag() (tag, error) {
	t := tag{kind: startTag, name: s.name(), text: s.text}
	if len(t.name) == 0 {
		return tag{}, errName
	}
	if s.elements == 0 {
		return tag{}, fmt.Errorf("expected at most %d elements", s.limit)
	}
	s.elements--
	for {
		s.skipBlanks()
		switch {
		case s.skip(">"):
			return t, nil
		case s.skip("/>"):
			s.closing = t.name
			return t, nil
		case !s.attribute():
			return tag{}, fmt.Errorf("expected attributes and > in %s", t)
		}
	}
}

// attribute skips name="value" and reports whether it stands there.
func (s *scanner) attribute() bool {
	if len(s.name()) == 0 {
		return false
	}
	s.skipBlanks()
	if !s.skip("=") {
		return false
	}
	s.skipBlanks()
	quote := "\""
	if !s.skip(quote) {
		quote = "'"
		if !s.skip(quote) {
			return false
		}
	}
	_, err := s.upTo(quote, "attribute")
	return err == nil
}

// addText adds text in which entities stand for characters.
func (s *scanner) addText(text []byte) error {
	for {
		characters, reference := cutAt(text, '&')
		s.addCharacters(characters)
		if len(reference) == 0 {
			return nil
		}
		name, rest, found := bytes.Cut(reference[1:], []byte(";"))
		if !found {
			return fmt.Errorf("expected ; after %.20q", reference)
		}
		r, err := entity(string(name))
		if err != nil {
			return err
		}
		s.text = utf8.AppendRune(s.text, r)
		text = rest
	}
}

// entity returns the character that &name; stands for.
func entity(name string) (rune, error) {
	switch name {
	case "amp":
		return '&', nil
	case "lt":
		return '<', nil
	case "gt":
		return '>', nil
	case "quot":
		return '"', nil
	case "apos":
		return '\'', nil
	}
	digits, base := strings.TrimPrefix(name, "#"), 10
	if digits == name {
		return 0, fmt.Errorf("unknown entity %.20q", name)
	}
	if hex, found := strings.CutPrefix(digits, "x"); found {
		digits, base = hex, 16
	}
	code, err := strconv.ParseUint(digits, base, 32)
	if err != nil || code > utf8.MaxRune {
		return 0, fmt.Errorf("expected the number of a character, got %.20q", name)
	}
	if !isChar(rune(code)) {
		return utf8.RuneError, nil
	}
	return rune(code), nil
}

// addCharacters adds text that stands for itself. XML reads CR LF and CR as LF.
func (s *scanner) addCharacters(text []byte) {
	done := 0 // text[:done] is added
	i := 0
	for i < len(text) && plain[text[i]] {
		i++
	}
	if i == len(text) && s.text == nil {
		s.text = text[:i:i] // most text needs no copy
		return
	}
	for i < len(text) {
		if c := text[i]; plain[c] {
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if r != '\r' && isText(r, size) {
			i += size
			continue
		}
		s.text = append(s.text, text[done:i]...)
		i += size
		done = i
		switch {
		case r != '\r':
			s.text = utf8.AppendRune(s.text, utf8.RuneError)
		case i == len(text) || text[i] != '\n': // else the LF follows
			s.text = append(s.text, '\n')
		}
	}
	s.text = append(s.text, text[done:]...)
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func trimBlanks(text []byte) []byte {
	for len(text) > 0 && isBlank(text[0]) {
		text = text[1:]
	}
	for len(text) > 0 && isBlank(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	return text
}

// cutAt returns what stands before the first c, and the rest from c on.
func cutAt(text []byte, c byte) (before, from []byte) {
	if len(text) > 0 && text[0] == c { // tags mostly follow one another
		return nil, text
	}
	i := bytes.IndexByte(text, c)
	if i < 0 {
		return text, nil
	}
	return text[:i], text[i:]
}
