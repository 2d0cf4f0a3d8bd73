package script

import (
	"fmt"
	"slices"
)

type kind uint8

const (
	tokEOF      kind = iota
	tokIdent         // loadmodule, log_level, yes
	tokInteger       // 5, 0x1F, 017
	tokString        // "five", 'five'; text is the value
	tokVariable      // $rU, $avp(x), $(avp(x)[0]{s.len})
	tokOperator      // punctuation and operators; text is which
)

// A token is one word of the language.
type token struct {
	kind  kind
	text  string
	pos   Pos
	end   Pos  // just past the token
	first bool // first on its line
}

func (t token) is(operator string) bool { return t.kind == tokOperator && t.text == operator }

// String describes the token in an error message.
func (t token) String() string {
	const longest = 40 // bytes
	switch {
	case t.kind == tokEOF && t.text == "":
		return "the end of the file"
	case len(t.text) > longest:
		return fmt.Sprintf("%q...", t.text[:longest])
	case t.kind == tokString:
		return fmt.Sprintf("string %q", t.text)
	default:
		return fmt.Sprintf("%q", t.text)
	}
}

// operators of more than one character; any other character stands for itself.
func longOperators() []string {
	return []string{
		"==", "=~", "!=", "!~", "<=", ">=", "<<", ">>", "&&", "||",
		":=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=",
		"//", // no operator, and no comment as some think
	}
}

// keywords that begin a statement, besides the name of a route block.
const (
	wordLoadModule = "loadmodule"
	wordModParam   = "modparam"
	wordInclude    = "include_file"
	wordImport     = "import_file" // means the same
	wordRoute      = "route"

	anyStatement = "name=value, loadmodule, modparam, include_file or a route" // in errors
)

func statementWords() []string {
	return []string{wordLoadModule, wordModParam, wordInclude, wordImport}
}

func isInclude(word string) bool { return word == wordInclude || word == wordImport }

func isRouteWord(word string) bool {
	return slices.Contains(routeWords(), word)
}

func routeWords() []string {
	return []string{
		wordRoute, "startup_route", "timer_route", "event_route", "local_route",
		"error_route", "failure_route", "onreply_route", "branch_route",
	}
}

// boolean gives the value of the words that stand for 1 and 0.
func boolean(word string) (value int64, ok bool) {
	switch word {
	case "yes", "true", "on", "enable":
		return 1, true
	case "no", "false", "off", "disable":
		return 0, true
	}
	return 0, false
}
