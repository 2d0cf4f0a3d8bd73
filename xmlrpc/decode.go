package xmlrpc

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Limits bound what a document may cost. A field that is not above 0 means its
// default.
type Limits struct {
	Bytes    int // of the document
	Depth    int // how deep values may be nested; a value that is no array or struct is 1 deep
	Elements int // XML elements in the document
}

// The defaults of [Limits].
const (
	DefaultBytes    = 1 << 20
	DefaultDepth    = 64
	DefaultElements = 100_000
)

func (l Limits) orDefaults() Limits {
	return Limits{
		Bytes:    orDefault(l.Bytes, DefaultBytes),
		Depth:    orDefault(l.Depth, DefaultDepth),
		Elements: orDefault(l.Elements, DefaultElements),
	}
}

func orDefault(limit, byDefault int) int {
	if limit <= 0 {
		return byDefault
	}
	return limit
}

// DecodeCall decodes a call.
func DecodeCall(data []byte, lim Limits) (*Call, error) {
	var d decoder
	var call *Call
	err := d.start(data, lim)
	if err == nil {
		call, err = d.call()
	}
	if err != nil {
		return nil, fmt.Errorf("decode methodCall: %w", err)
	}
	return call, nil
}

// DecodeResponse decodes a response and returns its value. If the response is a
// fault, the error is a [*Fault]; any other error says that data is no response.
func DecodeResponse(data []byte, lim Limits) (any, error) {
	var d decoder
	var v any
	var fault *Fault
	err := d.start(data, lim)
	if err == nil {
		v, fault, err = d.response()
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("decode methodResponse: %w", err)
	case fault != nil:
		return nil, fault
	default:
		return v, nil
	}
}

// A decoder reads a document by recursive descent: one method for each element,
// called after its start tag and returning after its end tag.
type decoder struct {
	scan     scanner
	depth    int // how many values may still be nested here
	maxDepth int
	check    bool // values are read and not kept: each is nil
}

// start begins to read a document.
func (d *decoder) start(data []byte, lim Limits) (err error) {
	lim = lim.orDefaults()
	if len(data) > lim.Bytes {
		return fmt.Errorf("expected at most %d bytes, got %d", lim.Bytes, len(data))
	}
	d.depth, d.maxDepth = lim.Depth, lim.Depth
	d.scan, err = newScanner(data, lim.Elements)
	return err
}

// tag reads a tag that has no text before it.
func (d *decoder) tag() (tag, error) {
	t, err := d.scan.next()
	if err == nil && len(trimBlanks(t.text)) > 0 {
		err = fmt.Errorf("expected no text before %s, got %.40q", t, t.text)
	}
	return t, err
}

// open reads the start tag of an element.
func (d *decoder) open(name string) error {
	if d.scan.skipStart(name) {
		return nil
	}
	t, err := d.tag()
	if err == nil && !t.is(startTag, name) {
		err = fmt.Errorf("expected <%s>, got %s", name, t)
	}
	return err
}

// close reads the end tag of an element.
func (d *decoder) close(name string) error {
	if d.scan.skipEnd(name) {
		return nil
	}
	t, err := d.tag()
	if err == nil && !t.is(endTag, name) {
		err = fmt.Errorf("expected </%s>, got %s", name, t)
	}
	return err
}

// closeRoot reads the end tag of the outermost element and the end of the document.
func (d *decoder) closeRoot(name string) error {
	if err := d.close(name); err != nil {
		return err
	}
	return d.end()
}

// end reads the end of the document.
func (d *decoder) end() error {
	t, err := d.tag()
	if err == nil && t.kind != endOfDocument {
		err = fmt.Errorf("expected the end of the document, got %s", t)
	}
	return err
}

// content reads the text of an element that holds nothing else, and its end
// tag. The text is valid until the next tag is read.
func (d *decoder) content(name string) ([]byte, error) {
	t, err := d.scan.next()
	if err == nil && !t.is(endTag, name) {
		err = fmt.Errorf("%s: expected text and </%s>, got %s", name, name, t)
	}
	return t.text, err
}

var errNoMethod = errors.New("methodName: expected a name, got nothing")

func (d *decoder) call() (*Call, error) {
	if err := d.open("methodCall"); err != nil {
		return nil, err
	}
	if err := d.open("methodName"); err != nil {
		return nil, err
	}
	name, err := d.content("methodName")
	if err != nil {
		return nil, err
	}
	if len(name) == 0 {
		return nil, errNoMethod
	}
	call := &Call{Method: string(name)}
	t, err := d.tag()
	switch {
	case err != nil:
		return nil, err
	case t.is(endTag, "methodCall"): // params may be missing
		return call, d.end()
	case !t.is(startTag, "params"):
		return nil, fmt.Errorf("expected <params> or </methodCall>, got %s", t)
	}
	if call.Params, err = d.params(); err != nil {
		return nil, err
	}
	return call, d.closeRoot("methodCall")
}

func (d *decoder) params() ([]Param, error) {
	var params []Param
	for {
		t, err := d.tag()
		switch {
		case err != nil:
			return nil, err
		case t.is(endTag, "params"):
			return params, nil
		case !t.is(startTag, "param"):
			return nil, fmt.Errorf("params: expected <param> or </params>, got %s", t)
		}
		p, err := d.param()
		if err != nil {
			return nil, fmt.Errorf("param %d: %w", len(params)+1, err)
		}
		params = append(params, p)
	}
}

func (d *decoder) param() (p Param, err error) {
	t, err := d.tag()
	if err == nil && t.is(startTag, "name") {
		var name []byte
		if name, err = d.content("name"); err != nil {
			return p, err
		}
		p.Name = string(name)
		t, err = d.tag()
	}
	switch {
	case err != nil:
		return p, err
	case !t.is(startTag, "value"):
		return p, fmt.Errorf("expected <value>, got %s", t)
	}
	if p.Value, err = d.value(); err != nil {
		return p, fmt.Errorf("value: %w", err)
	}
	return p, d.close("param")
}

func (d *decoder) response() (v any, fault *Fault, err error) {
	fault, err = d.openResponse()
	if err != nil || fault != nil {
		return nil, fault, err
	}
	if v, err = d.value(); err != nil {
		return nil, nil, fmt.Errorf("value: %w", err)
	}
	return v, nil, d.closeResponse()
}

// openResponse reads a response up to and with the start tag of its value. If
// it is a fault, that is read to the end of the document.
func (d *decoder) openResponse() (*Fault, error) {
	if err := d.open("methodResponse"); err != nil {
		return nil, err
	}
	t, err := d.tag()
	switch {
	case err != nil:
		return nil, err
	case t.is(startTag, "fault"):
		fault, err := d.fault()
		if err != nil {
			return nil, err
		}
		return fault, d.closeRoot("methodResponse")
	case !t.is(startTag, "params"):
		return nil, fmt.Errorf("expected <params> or <fault>, got %s", t)
	}
	if err := d.open("param"); err != nil {
		return nil, err
	}
	return nil, d.open("value")
}

// closeResponse reads what follows the value of a response.
func (d *decoder) closeResponse() error {
	if err := d.close("param"); err != nil {
		return err
	}
	if err := d.close("params"); err != nil {
		return err
	}
	return d.closeRoot("methodResponse")
}

var errFault = errors.New("fault: expected a struct that has a faultCode")

func (d *decoder) fault() (*Fault, error) {
	if err := d.open("value"); err != nil {
		return nil, err
	}
	check := d.check
	d.check = false // a fault is kept
	v, err := d.value()
	d.check = check
	if err != nil {
		return nil, fmt.Errorf("fault: %w", err)
	}
	fault := faultOf(v)
	if fault == nil {
		return nil, errFault
	}
	return fault, d.close("fault")
}

// faultOf returns the fault that a value says, nil if it is none. A code that
// is no number (Perl's XMLRPC::Lite answers "Client") goes into the text, so
// that no fault is taken for a success because its server is careless.
func faultOf(v any) *Fault {
	members, _ := v.(Struct)
	code, found := members.Get(faultCode)
	if !found {
		return nil
	}
	var fault Fault
	text, _ := members.Get(faultString)
	fault.String, _ = text.(string)
	switch code := code.(type) {
	case int64:
		fault.Code = int(min(max(code, math.MinInt), math.MaxInt))
	case string:
		n, err := strconv.Atoi(code)
		if err != nil {
			fault.String = code + ": " + fault.String
			break
		}
		fault.Code = n
	}
	return &fault
}
