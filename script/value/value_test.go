package value_test

import (
	"math"
	"testing"

	"github.com/evid/evid/script/value"
)

func TestValue(t *testing.T) {
	for _, test := range []struct {
		v                    value.Value
		text, printed, shown string
		isTrue               bool
	}{
		{value.Value{}, "", "<null>", "NULL", false},
		{value.Int(0), "0", "0", "0", false},
		{value.Int(-7), "-7", "-7", "-7", true},
		{value.Int(math.MinInt64), "-9223372036854775808", "-9223372036854775808", "-9223372036854775808", true},
		{value.String(""), "", "", `""`, false},
		{value.String("0"), "0", "0", `"0"`, true},
		{value.String("a\"\xff"), "a\"\xff", "a\"\xff", `"a\"\xff"`, true},
	} {
		if got := test.v.Text(); got != test.text {
			t.Errorf("%#v: text %q, want %q", test.v, got, test.text)
		}
		if got := string(test.v.Append([]byte("> "))); got != "> "+test.printed {
			t.Errorf("%#v: printed %q, want %q", test.v, got, test.printed)
		}
		if got := test.v.GoString(); got != test.shown {
			t.Errorf("shown %s, want %s", got, test.shown)
		}
		if got := test.v.True(); got != test.isTrue {
			t.Errorf("%#v is %v, want %v", test.v, got, test.isTrue)
		}
	}
}

func TestKinds(t *testing.T) {
	if v := (value.Value{}); !v.IsNull() || v.IsInt() || v.IsString() || v.Int() != 0 {
		t.Errorf("%#v", v)
	}
	if v := value.Int(5); v.IsNull() || !v.IsInt() || v.IsString() || v.Int() != 5 {
		t.Errorf("%#v", v)
	}
	if v := value.String("5"); v.IsNull() || v.IsInt() || !v.IsString() || v.Int() != 0 {
		t.Errorf("%#v", v)
	}
	if value.Int(5) == value.String("5") || (value.Value{}) == value.String("") || value.String("a") == value.String("b") {
		t.Error("values are compared wrongly")
	}
}
