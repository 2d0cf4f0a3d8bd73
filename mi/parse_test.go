package mi

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestParseJSON(t *testing.T) {
	for _, test := range []struct {
		text string
		want Value
	}{
		{" null", Value{}},
		{"true", Value{Kind: Bool, Text: "true"}},
		{"false,", Value{Kind: Bool, Text: "false"}},
		{"-0.50E+2x", Value{Kind: Number, Text: "-0.50E+2"}},
		{"0", Value{Kind: Number, Text: "0"}},
		{"007", Value{Kind: Number, Text: "0"}}, // the rest is ignored
		{`""`, Value{Kind: String}},
		{`"\"\\\/\b\f\n\r\t\u00fc\ud83d\ude00"`, Value{Kind: String, Text: "\"\\/\b\f\n\r\tü😀"}},
		{`"\ud83d"`, Value{Kind: String, Text: "\ufffd"}},
		{`"\ud83d\n"`, Value{Kind: String, Text: "\ufffd\n"}},
		{`"\ud83dA\ude00"`, Value{Kind: String, Text: "\ufffdA\ufffd"}},
		{"\"\xff\n\"", Value{Kind: String, Text: "\xff\n"}},
		{"[ ]", Value{Kind: Array}},
		{"{\n}", Value{Kind: Object}},
		{`[1 , [ ] ]`, Value{Kind: Array, Items: []Value{{Kind: Number, Text: "1"}, {Kind: Array}}}},
		{`{"a" : 1,"a":"2" }`, Value{Kind: Object, Items: []Value{{Kind: Number, Name: "a", Text: "1"}, {Kind: String, Name: "a", Text: "2"}}}},
		{strings.Repeat("[", 33) + strings.Repeat("]", 33), nested(33)},
	} {
		got, err := parseJSON([]byte(test.text))
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, want %+v", test.text, got, test.want)
		}
	}
}

func nested(depth int) Value {
	if depth == 1 {
		return Value{Kind: Array}
	}
	return Value{Kind: Array, Items: []Value{nested(depth - 1)}}
}

func TestParseJSONErrors(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{``, "at byte 1: expected a JSON value, got the end"},
		{`nul`, "at byte 1: expected a JSON value, got 'n'"},
		{`-`, "at byte 2: expected a digit, got the end"},
		{`1.x`, "at byte 3: expected a digit, got 'x'"},
		{`1e+`, "at byte 4: expected a digit, got the end"},
		{`"a`, "at byte 3: expected '\"', got the end"},
		{`"\n`, "at byte 4: expected '\"', got the end"},
		{`"\`, "at byte 3: expected an escape, got the end"},
		{`"\x"`, `at byte 3: expected one of "\/bfnrtu after '\', got 'x'`},
		{`"\u12g4"`, "at byte 3: expected u and four hexadecimal digits, got 'u'"},
		{`[1 2]`, "at byte 4: expected ',' or ']', got '2'"},
		{`[1,]`, "at byte 4: expected a JSON value, got ']'"},
		{`{1:2}`, "at byte 2: expected the name of a member in quotes, got '1'"},
		{`{"a" 2}`, "at byte 6: expected ':', got '2'"},
		{`{"a":1;}`, "at byte 7: expected ',' or '}', got ';'"},
		{`{"a`, "at byte 4: expected '\"', got the end"},
		{`{"a":`, "at byte 6: expected a JSON value, got the end"},
		{strings.Repeat("[", 34), "expected at most 32 arrays and objects inside one another"},
		{"[" + strings.Repeat("0,", 65536), "expected at most 65536 values"},
	} {
		_, err := parseJSON([]byte(test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.40s: got %v, want %s", test.text, err, test.want)
		}
	}
}

// FuzzParseJSON compares with encoding/json: what that takes must be taken, and
// be the same when encoded again.
func FuzzParseJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-2.5e3,"\u00fc\ud83d\ude00",null,true]}`, `[[],{},""]`, `"\`, "\"\x00\xff\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := parseJSON(text)
		if !json.Valid(text) || err != nil && strings.Contains(err.Error(), "at most") {
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var want, again any
		if err := json.Unmarshal(text, &want); err != nil {
			return // a number out of range
		}
		if err := json.Unmarshal(encode(t, got), &again); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if !reflect.DeepEqual(want, again) {
			t.Errorf("%q: got %v, want %v", text, again, want)
		}
	})
}

func encode(t *testing.T, v Value) []byte {
	t.Helper()
	var text []byte
	switch v.Kind {
	case Null:
		return []byte("null")
	case Bool, Number:
		return []byte(v.Text)
	case String:
		text, err := json.Marshal(v.Text)
		if err != nil {
			t.Fatal(err)
		}
		return text
	case Array:
		for _, item := range v.Items {
			text = append(append(text, ','), encode(t, item)...)
		}
		return append([]byte("["), append(trimComma(text), ']')...)
	default:
		for _, item := range v.Items {
			text = append(append(text, ','), encode(t, Value{Kind: String, Text: item.Name})...)
			text = append(append(text, ':'), encode(t, item)...)
		}
		return append([]byte("{"), append(trimComma(text), '}')...)
	}
}

func trimComma(text []byte) []byte {
	if len(text) == 0 {
		return text
	}
	return text[1:]
}
