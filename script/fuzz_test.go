package script_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid/script"
)

// FuzzFormat: what a format is cut into is the format again, and so is each variable in it.
func FuzzFormat(f *testing.F) {
	for _, text := range []string{
		"", "$", "$$", "a $$5 $var(x)$avp(y) b", "$(avp(x)[-1]{s.substr,0,$var(n)}{s.len})", "$(", "$x(", "$var($var($var(x)))",
		"$(avp(x)[*])$(avp(x)[append])", "$(<reply>var(x))", "$(err.class)", "$(x{a,{b}}{c})", "$(x(y)[$var(i)])", "$var()",
		"$(var(x){re.subst,/a)/b/g})", "$param(\xff)", "$return(0)$rc$retcode",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pos := script.Pos{File: "fuzz", Line: 3, Col: 5}
		parts, err := script.ParseFormat(pos, text)
		if err != nil {
			if parts != nil {
				t.Errorf("%q: %d parts and the error %v", text, len(parts), err)
			}
			return
		}
		var again strings.Builder
		for i, part := range parts {
			if part.Var == nil {
				if part.Text == "" || i > 0 && parts[i-1].Var == nil {
					t.Errorf("%q: part %d could be with the one before it", text, i)
				}
				again.WriteString(strings.ReplaceAll(part.Text, "$", "$$"))
				continue
			}
			checkVariable(t, part.Var, pos)
			again.WriteString(part.Var.String())
		}
		if again.String() != text {
			t.Errorf("%q became %q", text, again.String())
		}
	})
}

// checkVariable checks a variable and those within it.
func checkVariable(t *testing.T, v *script.Variable, pos script.Pos) {
	if v.Name == "" || v.Position() != pos {
		t.Errorf("variable %q has the name %q and stands at %v", v, v.Name, v.Pos)
	}
	again, err := script.ParseVariable(pos, v.String())
	if diff := cmp.Diff(v, again); err != nil || diff != "" {
		t.Errorf("variable %q: %v (-want +got):\n%s", v, err, diff)
	}
	if v.Sub != nil && v.Sub.Var != nil {
		checkVariable(t, v.Sub.Var, pos)
	}
	if v.Index != nil && v.Index.Var != nil {
		checkVariable(t, v.Index.Var, pos)
	}
}
