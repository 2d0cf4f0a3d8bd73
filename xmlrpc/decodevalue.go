package xmlrpc

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// value reads what is inside <value>, and </value>.
func (d *decoder) value() (any, error) {
	t, err := d.valueType()
	switch {
	case err != nil:
		return nil, err
	case t.kind == endTag && d.check:
		return nil, nil
	case t.kind == endTag:
		return string(t.text), nil
	}
	v, err := d.typed(t.name)
	if err != nil {
		return nil, err
	}
	return v, d.closeValue()
}

// valueType reads the start tag that says the type of a value. If the value has
// none it is a string: the tag is its end tag and has the text.
func (d *decoder) valueType() (tag, error) {
	if d.depth == 0 {
		return tag{}, fmt.Errorf("expected values nested at most %d deep", d.maxDepth)
	}
	t, err := d.scan.next()
	switch {
	case err != nil:
		return t, err
	case t.is(endTag, "value"):
		return t, nil
	case t.kind != startTag:
		return t, fmt.Errorf("expected </value>, got %s", t)
	case len(trimBlanks(t.text)) > 0:
		return t, fmt.Errorf("expected either text or an element, got %.40q before %s", t.text, t)
	}
	d.depth-- // up to closeValue
	return t, nil
}

// closeValue reads the end tag of a value that has a type.
func (d *decoder) closeValue() error {
	d.depth++
	return d.close("value")
}

// scalarTypes are the elements whose content is text.
var scalarTypes = [...]string{
	"string", "int", "i4", "boolean", "double", "dateTime.iso8601", "base64",
	"nil", "ex:nil", "i8", "ex:i8", "i1", "ex:i1", "i2", "ex:i2",
}

// typed reads the inside of the element that says a value's type, and its end tag.
func (d *decoder) typed(element []byte) (any, error) {
	switch string(element) {
	case "array":
		return d.array()
	case "struct":
		return d.structure()
	}
	for _, scalarType := range scalarTypes {
		if string(element) != scalarType {
			continue
		}
		text, err := d.content(scalarType)
		if err != nil {
			return nil, err
		}
		if d.check {
			return nil, checkScalar(scalarType, text)
		}
		return scalar(scalarType, text)
	}
	return nil, fmt.Errorf("expected the type of a value, got %s", tag{kind: startTag, name: element})
}

func (d *decoder) array() (any, error) {
	if err := d.openArray(); err != nil {
		return nil, err
	}
	items := []any{}
	for i := 1; ; i++ {
		more, err := d.nextItem()
		switch {
		case err != nil || !more && d.check:
			return nil, err
		case !more:
			return items, nil
		}
		v, err := d.value()
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
		if !d.check {
			items = append(items, v)
		}
	}
}

// openArray reads what stands between <array> and its items.
func (d *decoder) openArray() error {
	if err := d.open("data"); err != nil {
		return fmt.Errorf("array: %w", err)
	}
	return nil
}

// nextItem reads the start tag of the next item of an array. If there is none,
// that is false and the array is read to its end.
func (d *decoder) nextItem() (more bool, err error) {
	if d.scan.skipStart("value") {
		return true, nil
	}
	t, err := d.tag()
	switch {
	case err != nil:
		return false, err
	case t.is(endTag, "data"):
		return false, d.close("array")
	case !t.is(startTag, "value"):
		return false, fmt.Errorf("array: expected <value> or </data>, got %s", t)
	}
	return true, nil
}

func (d *decoder) structure() (any, error) {
	members := Struct{}
	for i := 1; ; i++ {
		t, err := d.tag()
		switch {
		case err != nil:
			return nil, err
		case t.is(endTag, "struct") && d.check:
			return nil, nil
		case t.is(endTag, "struct"):
			return members, nil
		case !t.is(startTag, "member"):
			return nil, fmt.Errorf("struct: expected <member> or </struct>, got %s", t)
		}
		name, err := d.memberName()
		if err != nil {
			return nil, fmt.Errorf("member %d: %w", i, err)
		}
		v, err := d.memberValue()
		switch {
		case err != nil && d.check:
			return nil, fmt.Errorf("member %d: %w", i, err)
		case err != nil:
			return nil, fmt.Errorf("member %.40q: %w", name, err)
		case !d.check:
			members = append(members, Member{name, v})
		}
	}
}

// memberName reads the name of a member; it is empty when d only checks.
func (d *decoder) memberName() (string, error) {
	if err := d.open("name"); err != nil {
		return "", err
	}
	name, err := d.content("name")
	if d.check {
		return "", err
	}
	return string(name), err
}

func (d *decoder) memberValue() (any, error) {
	if err := d.open("value"); err != nil {
		return nil, err
	}
	v, err := d.value()
	if err != nil {
		return nil, err
	}
	return v, d.close("member")
}

// scalar reads the text of a value that is neither array nor struct.
func scalar(element string, text []byte) (any, error) {
	if element == "string" {
		return string(text), nil
	}
	var v any
	var err error
	trimmed := string(trimBlanks(text))
	switch element {
	case "nil", "ex:nil":
		if trimmed == "" {
			return nil, nil
		}
		err = strconv.ErrSyntax
	case "boolean":
		v, err = parseBoolean(trimmed)
	case "double":
		v, err = parseDouble(trimmed)
	case "dateTime.iso8601":
		v, err = parseTime(trimmed)
	case "base64":
		v, err = parseBase64(text)
	default:
		v, err = strconv.ParseInt(trimmed, 10, 64)
	}
	if err != nil {
		return nil, fmt.Errorf("expected %s, got %.40q", element, text)
	}
	return v, nil
}

func parseBoolean(text string) (bool, error) {
	switch text {
	case "0":
		return false, nil
	case "1":
		return true, nil
	default:
		return false, strconv.ErrSyntax
	}
}

// parseDouble accepts exponents, which XML-RPC does not have but many send. It
// does not accept the other forms that Go knows: NaN, Inf, hexadecimal.
func parseDouble(text string) (float64, error) {
	if strings.Trim(text, "+-.0123456789eE") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(text, 64)
}

// parseTime accepts the form of the specification and the usual ones of ISO
// 8601. A time without a zone is in UTC.
func parseTime(text string) (t time.Time, err error) {
	for _, layout := range []string{timeLayout, timeLayout + "Z07:00", "2006-01-02T15:04:05", time.RFC3339} {
		if t, err = time.Parse(layout, text); err == nil {
			break
		}
	}
	t = t.UTC()
	if err == nil && (t.Year() < 0 || t.Year() > 9999) {
		err = errYear
	}
	return t, err
}

// parseBase64 accepts blanks anywhere.
func parseBase64(text []byte) ([]byte, error) {
	digits := bytes.Join(bytes.Fields(text), nil)
	return base64.StdEncoding.AppendDecode([]byte{}, digits)
}
