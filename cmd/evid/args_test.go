package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid"
)

func TestEventParam(t *testing.T) {
	tests := []struct {
		arg    string
		asText bool
		want   evid.Param
	}{
		{arg: "ip=192.168.2.11", want: evid.String("ip", "192.168.2.11")},
		{arg: "ip=", want: evid.String("ip", "")},
		{arg: "a.b-c_1=x=y", want: evid.String("a.b-c_1", "x=y")},
		{arg: "größe=1,5", want: evid.String("größe", "1,5")},
		{arg: "n=-5", want: evid.Int("n", -5)},
		{arg: "n=-9223372036854775808", want: evid.Int("n", -9223372036854775808)},
		{arg: "n=9223372036854775808", want: evid.String("n", "9223372036854775808")},
		{arg: "n=5", asText: true, want: evid.String("n", "5")},
		{arg: "n=007", want: evid.String("n", "007")},
		{arg: "n=+5", want: evid.String("n", "+5")},
		{arg: "n=-0", want: evid.String("n", "-0")},
		{arg: "n=1.5", want: evid.String("n", "1.5")},
		{arg: "n= 5", want: evid.String("n", " 5")},
		{arg: "", want: evid.String("", "")},
		{arg: "plain", want: evid.String("", "plain")},
		{arg: "42", want: evid.Int("", 42)},
		{arg: "=-5", want: evid.Int("", -5)},
		{arg: "=", want: evid.String("", "")},
		{arg: "==", want: evid.String("", "=")},
		{arg: "=a=b", want: evid.String("", "a=b")},
		{arg: "sip:bob@10.0.0.1;tag=a", want: evid.String("", "sip:bob@10.0.0.1;tag=a")},
		{arg: "1st=x", want: evid.String("", "1st=x")},
		{arg: "two words=x", want: evid.String("", "two words=x")},
	}
	for _, test := range tests {
		got, err := eventParam(test.arg, test.asText)
		if err != nil || got != test.want {
			t.Errorf("eventParam(%q, %v) = %+v, %v, want %+v", test.arg, test.asText, got, err, test.want)
		}
	}
	if _, err := eventParam("a=\xff", false); err == nil || !strings.Contains(err.Error(), "expected UTF-8") {
		t.Errorf("bytes that are no UTF-8: %v", err)
	}
}

func TestRaiseArgs(t *testing.T) {
	tests := []struct {
		name   string
		params []evid.Param
		want   any
	}{
		{"none", nil, nil},
		{"unnamed strings", []evid.Param{evid.String("", "a"), evid.String("", "")}, []string{"a", ""}},
		{"unnamed integer", []evid.Param{evid.Int("", 5)}, `{"":5}`},
		{"order and names twice", []evid.Param{evid.String("b", "1"), evid.Int("a", 2), evid.String("b", "3")}, `{"b":"1","a":2,"b":"3"}`},
		{"mixed", []evid.Param{evid.String("", "x"), evid.String(`"`, "\r\n\x00")}, `{"":"x","\"":"\r\n\u0000"}`},
		{"beyond a float", []evid.Param{evid.Int("n", 9007199254740993)}, `{"n":9007199254740993}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := map[string]any{"event": "E_X"}
			if test.want != nil {
				want["params"] = test.want
			}
			got, err := raiseArgs("E_X", test.params)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMIParams(t *testing.T) {
	tests := []struct {
		args []string
		want any
		err  string
	}{
		{args: nil, want: nil},
		{args: []string{"E_X", "xmlrpc:h:1:m;timeout=5", "60"}, want: []string{"E_X", "xmlrpc:h:1:m;timeout=5", "60"}},
		{args: []string{"event=E_X", "expire=60"}, want: map[string]string{"event": "E_X", "expire": "60"}},
		{args: []string{"=a=b"}, want: []string{"a=b"}},
		{args: []string{"event=E_X", "60"}, err: "expected all parameters with names or none"},
		{args: []string{"event=E_X", "event=E_Y"}, err: "parameter event is given twice"},
	}
	for _, test := range tests {
		got, err := miParams(test.args)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("miParams(%q): got error %v, want %q", test.args, err, test.err)
			}
			continue
		}
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("miParams(%q): %v (-want +got):\n%s", test.args, err, diff)
		}
	}
}

// FuzzEventParam holds that what an argument means arrives at MI unchanged.
func FuzzEventParam(f *testing.F) {
	for _, arg := range []string{"", "=", "ip=10.0.0.1", "n=-5", "=a=b", "<a&b>", "x=\x00\r\n\u2028\U0001f600", "a=\xff"} {
		f.Add(arg)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		param, err := eventParam(arg, false)
		if err != nil {
			if utf8.ValidString(arg) {
				t.Fatalf("eventParam(%q): %v", arg, err)
			}
			return
		}
		if text := param.Text(); text != arg && param.Name+"="+text != arg {
			t.Fatalf("eventParam(%q) = %+v", arg, param)
		}
		object, err := jsonObject([]evid.Param{param})
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		dec := json.NewDecoder(strings.NewReader(object))
		dec.UseNumber()
		if err := dec.Decode(&got); err != nil {
			t.Fatalf("%s: %v", object, err)
		}
		var want any = param.Str
		if param.Kind == evid.KindInt {
			want = json.Number(param.Text())
		}
		if diff := cmp.Diff(map[string]any{param.Name: want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", object, diff)
		}
	})
}
