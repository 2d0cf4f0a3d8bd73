package transform

import (
	"strings"

	"github.com/evid/evid/script/value"
)

// csvField takes the first field of a list as RFC 4180 has it: separated by commas, blanks
// being part of it, and in double quotes if it holds a comma or a quote, which is then
// doubled. Field is as it stands, but without the quotes around it. Control characters are
// not allowed outside quotes.
func csvField(list string) (field string, quoted bool, rest string, more, ok bool) {
	if strings.HasPrefix(list, `"`) {
		for end := 1; end < len(list); end++ {
			switch {
			case list[end] != '"':
			case strings.HasPrefix(list[end+1:], `"`):
				end++
			default:
				field, rest = list[1:end], list[end+1:]
				rest, more = strings.CutPrefix(rest, ",")
				return field, true, rest, more, more || rest == ""
			}
		}
		return "", false, "", false, false // the quote is not closed
	}
	field, rest, more = strings.Cut(list, ",")
	for i := range len(field) {
		if field[i] < ' ' || field[i] == 0x7f {
			return "", false, "", false, false
		}
	}
	return field, false, rest, more, true
}

// csvLen counts the fields; ok is whether the list is one.
func csvLen(list string) (n int64, ok bool) {
	for more := true; more; n++ {
		if _, _, list, more, ok = csvField(list); !ok {
			return 0, false
		}
	}
	return n, true
}

// csvText is the list of a value: a line, which may have its end.
func csvText(v value.Value) string { return strings.TrimSuffix(v.Text(), "\r\n") }

func csvCount(v value.Value) value.Value {
	n, ok := csvLen(csvText(v))
	if !ok {
		return value.Value{}
	}
	return value.Int(n)
}

// csvValue returns a field, counted from 0 or, when negative, from the end.
func csvValue(a arguments) (function, error) {
	index, err := a.integer(0)
	if err != nil {
		return nil, err
	}
	return func(v value.Value) value.Value {
		list := csvText(v)
		n, ok := csvLen(list)
		at := index
		if at < 0 {
			at += n
		}
		if !ok || at < 0 || at >= n {
			return value.Value{}
		}
		for ; at > 0; at-- {
			_, _, list, _, _ = csvField(list)
		}
		field, quoted, _, _, _ := csvField(list)
		if quoted {
			field = strings.ReplaceAll(field, `""`, `"`)
		}
		return value.String(field)
	}, nil
}

// A param is name=value, name="value" or only a name.
type param struct{ name, value string }

// nextParam takes the first parameter of a list like a=1;b;c="3", in which blanks may
// stand around the names and values. The list ends at a comma, or a > where a ; could be.
func nextParam(list string) (p param, rest string, more, ok bool) {
	end := indexAny(list, blanks+";,=")
	p.name = list[:end]
	rest = strings.TrimLeft(list[end:], blanks)
	if text, hasValue := strings.CutPrefix(rest, "="); hasValue {
		if p.value, rest, ok = paramText(strings.TrimLeft(text, blanks)); !ok {
			return param{}, "", false, false
		}
		rest = strings.TrimLeft(rest, blanks)
	}
	if rest == "" || rest[0] == ',' || rest[0] == '>' {
		return p, "", false, true
	}
	rest, more = strings.CutPrefix(rest, ";")
	rest = strings.TrimLeft(rest, blanks)
	return p, rest, more, more && rest != ""
}

// paramText takes the value that a text begins with. Quoted ones know no escapes.
func paramText(s string) (text, rest string, ok bool) {
	if quoted, isQuoted := strings.CutPrefix(s, `"`); isQuoted {
		return strings.Cut(quoted, `"`)
	}
	end := indexAny(s, blanks+",;")
	return s[:end], s[end:], end > 0
}

// indexAny is strings.IndexAny, but the length if there is none of them.
func indexAny(s, chars string) int {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return i
	}
	return len(s)
}

// findParam returns the value of the first parameter of a name, of which upper and lower
// case are the same, and how many parameters there are; ok is whether the list is one: one
// mistake in it makes it none.
func findParam(list, name string) (text string, found bool, count int64, ok bool) {
	for more := true; more; count++ {
		var p param
		if p, list, more, ok = nextParam(list); !ok {
			return "", false, 0, false
		}
		if !found && len(p.name) == len(name) && strings.EqualFold(p.name, name) {
			text, found = p.value, true
		}
	}
	return text, found, count, true
}

func paramCount(v value.Value) value.Value {
	_, _, count, ok := findParam(v.Text(), "")
	if !ok {
		return value.Value{}
	}
	return value.Int(count)
}

func paramExist(a arguments) (function, error) {
	name, err := a.name(0)
	return func(v value.Value) value.Value {
		_, found, _, ok := findParam(v.Text(), name)
		if !ok {
			return value.Value{}
		}
		return truth(found)
	}, err
}

// paramValue is "" of a parameter that has only a name.
func paramValue(a arguments) (function, error) {
	name, err := a.name(0)
	return func(v value.Value) value.Value { return paramOf(v.Text(), name) }, err
}

func paramOf(list, name string) value.Value {
	text, found, _, ok := findParam(list, name)
	if !ok || !found {
		return value.Value{}
	}
	return value.String(text)
}

// truth is 1 or 0.
func truth(yes bool) value.Value {
	if yes {
		return value.Int(1)
	}
	return value.Int(0)
}
