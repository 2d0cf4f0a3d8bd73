package xmlrpc

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// CheckMulticallResponse checks the response to a system.multicall of as many
// calls as there are faults: each of these becomes what its call was answered
// with, nil for a value. It accepts what [DecodeMulticallResponse] accepts, but
// keeps no value and allocates nothing unless there is a fault. After an error
// the faults say nothing.
func CheckMulticallResponse(data []byte, faults []*Fault, lim Limits) error {
	d := decoder{check: true}
	var fault *Fault
	err := d.start(data, lim)
	if err == nil {
		fault, err = d.multicallResponse(faults)
	}
	switch {
	case err != nil:
		return fmt.Errorf("check methodResponse of %s: %w", multicallMethod, err)
	case fault != nil:
		return fault
	default:
		return nil
	}
}

// multicallResponse returns the fault that the response is as a whole.
func (d *decoder) multicallResponse(faults []*Fault) (*Fault, error) {
	fault, err := d.openResponse()
	if err != nil || fault != nil {
		return fault, err
	}
	t, err := d.valueType()
	switch {
	case err != nil:
		return nil, err
	case !t.is(startTag, "array"):
		return nil, fmt.Errorf("expected an array of %d results, got a value that is none", len(faults))
	}
	if err := d.multicallResults(faults); err != nil {
		return nil, err
	}
	if err := d.closeValue(); err != nil {
		return nil, err
	}
	return nil, d.closeResponse()
}

var errMixed = errors.New("expected arrays of one value and faults, or bare values, got both")

func (d *decoder) multicallResults(faults []*Fault) error {
	if err := d.openArray(); err != nil {
		return err
	}
	var bare bool // all are
	for n := 0; ; n++ {
		before, elements := d.scan.rest, d.scan.elements
		more, err := d.nextItem()
		switch {
		case err != nil:
			return err
		case !more && n < len(faults):
			return fmt.Errorf("expected %d results, got %d", len(faults), n)
		case !more:
			return nil
		case n == len(faults):
			return fmt.Errorf("expected %d results, got more", n)
		}
		var isBare bool
		faults[n], isBare, err = d.multicallResult()
		if n == 0 {
			bare = isBare
		}
		if err == nil && isBare != bare {
			err = errMixed
		}
		if err != nil {
			return fmt.Errorf("result %d: %w", n+1, err)
		}
		if faults[n] == nil {
			same := d.skipRepeated(before[:len(before)-len(d.scan.rest)], elements-d.scan.elements, len(faults)-n-1)
			clear(faults[n+1 : n+1+same])
			n += same
		}
	}
}

// skipRepeated skips up to limit repetitions of what was just read, which has so
// many elements, and returns how many it skipped. Most servers answer all calls
// with the same value: what was right once is right again.
func (d *decoder) skipRepeated(read []byte, elements, limit int) (n int) {
	for n < limit && d.scan.elements >= elements && bytes.HasPrefix(d.scan.rest, read) {
		d.scan.rest = d.scan.rest[len(read):]
		d.scan.elements -= elements
		n++
	}
	return n
}

// multicallResult reads the answer to one call: a fault, an array of one value, or
// a bare value that is neither array nor struct.
func (d *decoder) multicallResult() (fault *Fault, bare bool, err error) {
	t, err := d.valueType()
	switch {
	case err != nil:
		return nil, false, err
	case t.kind == endTag:
		return nil, true, nil
	case t.is(startTag, "struct"):
		fault, err = d.faultStruct()
	case t.is(startTag, "array"):
		err = d.oneValue()
	default:
		bare = true
		_, err = d.typed(t.name)
	}
	if err != nil {
		return nil, false, err
	}
	return fault, bare, d.closeValue()
}

func (d *decoder) faultStruct() (*Fault, error) {
	d.check = false // a fault is kept
	v, err := d.structure()
	d.check = true
	if err != nil {
		return nil, err
	}
	fault := resultFault(v)
	if fault == nil {
		return nil, errors.New("expected an array of one value or a fault, got a struct")
	}
	return fault, nil
}

// oneValue reads the inside of an array of one value, and its end tag.
func (d *decoder) oneValue() error {
	if err := d.openArray(); err != nil {
		return err
	}
	for n := 0; ; n++ {
		more, err := d.nextItem()
		switch {
		case err != nil:
			return err
		case more != (n == 0):
			return errors.New("expected an array of one value or a fault, got an array of none or more")
		case !more:
			return nil
		}
		if _, err := d.value(); err != nil {
			return err
		}
	}
}

// checkScalar returns the error that [scalar] returns.
func checkScalar(element string, text []byte) (err error) {
	trimmed := trimBlanks(text)
	switch element {
	case "string":
	case "nil", "ex:nil":
		if len(trimmed) > 0 {
			err = strconv.ErrSyntax
		}
	case "boolean":
		_, err = parseBoolean(string(trimmed))
	case "double":
		_, err = parseDouble(string(trimmed))
	case "dateTime.iso8601":
		_, err = parseTime(string(trimmed))
	case "base64":
		err = checkBase64(text)
	default:
		_, err = strconv.ParseInt(string(trimmed), 10, 64)
	}
	if err != nil {
		err = fmt.Errorf("expected %s, got %.40q", element, text)
	}
	return err
}

// checkBase64 accepts what [parseBase64] accepts.
func checkBase64(text []byte) error {
	digits, padding := 0, 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		i += size
		switch {
		case unicode.IsSpace(r):
		case r == '=':
			padding++
		case padding > 0 || !isBase64Digit(r):
			return strconv.ErrSyntax
		default:
			digits++
		}
	}
	if padding > 2 || (digits+padding)%4 != 0 {
		return strconv.ErrSyntax
	}
	return nil
}

func isBase64Digit(r rune) bool {
	return 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '+' || r == '/'
}
