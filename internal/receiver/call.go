package receiver

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/evid/evid/xmlrpc"
)

// A Call is one method call as a peer made it, read the way event_xmlrpc means
// it: the first parameter is the event's name, the others are its parameters.
type Call struct {
	Method string
	Event  string  // empty: the first parameter is no event name
	Params []Param // those after the event's name
	ID     string  // the header Webhook-Id; empty: none, or one call of a system.multicall
}

// A Param is a parameter of a [Call]. Its name comes from beside the value or
// from a struct of one member; it is empty for an unnamed one. The value has one
// of the types that package xmlrpc decodes.
type Param struct {
	Name  string
	Value any
}

func newCall(c xmlrpc.Call, id string) Call {
	call := Call{Method: c.Method, ID: id}
	params := c.Params
	if len(params) > 0 && params[0].Name == "" {
		if event, ok := params[0].Value.(string); ok && event != "" {
			call.Event, params = event, params[1:]
		}
	}
	for _, p := range params {
		if s, ok := p.Value.(xmlrpc.Struct); ok && p.Name == "" && len(s) == 1 {
			p = xmlrpc.Param(s[0])
		}
		call.Params = append(call.Params, Param(p))
	}
	return call
}

// String returns the call as one line for people:
//
//	block_ip E_PIKE_BLOCKED ip="192.168.2.11"
//
// Strings are quoted as in Go, integers are not.
func (c Call) String() string {
	var words []string
	for _, name := range []string{c.Method, c.Event} {
		if name != "" {
			words = append(words, word(name))
		}
	}
	for _, p := range c.Params {
		words = append(words, named(p.Name, p.Value))
	}
	return strings.Join(words, " ")
}

func named(name string, value any) string {
	if name == "" {
		return text(value)
	}
	return word(name) + "=" + text(value)
}

// word returns a name as it is if it cannot be taken for anything else on the line.
func word(name string) string {
	odd := func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == '"' || r == '=' }
	if name == "" || strings.ContainsFunc(name, odd) {
		return strconv.Quote(name)
	}
	return name
}

func text(value any) string {
	switch v := value.(type) {
	case string:
		return strconv.Quote(v)
	case []byte:
		return "base64:" + base64.StdEncoding.EncodeToString(v)
	case time.Time:
		return v.Format(time.RFC3339)
	case nil:
		return "nil"
	case xmlrpc.Struct:
		members := make([]string, len(v))
		for i, m := range v {
			members[i] = word(m.Name) + "=" + text(m.Value)
		}
		return "{" + strings.Join(members, " ") + "}"
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = text(item)
		}
		return "[" + strings.Join(items, " ") + "]"
	default: // int64, float64, bool
		return fmt.Sprint(v)
	}
}

// MarshalJSON returns {"method":…,"event":…,"params":[{"name":…,"value":…}],"id":…};
// name and id are left out where they are empty. Base64 stays base64.
func (c Call) MarshalJSON() ([]byte, error) {
	type param struct {
		Name  string `json:"name,omitempty"`
		Value any    `json:"value"`
	}
	params := make([]param, len(c.Params))
	for i, p := range c.Params {
		params[i] = param{p.Name, jsonValue(p.Value)}
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(struct {
		Method string  `json:"method"`
		Event  string  `json:"event"`
		Params []param `json:"params"`
		ID     string  `json:"id,omitempty"`
	}{c.Method, c.Event, params, c.ID})
	return buf.Bytes(), err
}

// jsonValue returns a value whose JSON form is what the XML-RPC value means.
func jsonValue(value any) any {
	switch v := value.(type) {
	case xmlrpc.Struct:
		object := make(map[string]any, len(v))
		for _, m := range v {
			object[m.Name] = jsonValue(m.Value)
		}
		return object
	case []any:
		array := make([]any, len(v))
		for i, item := range v {
			array[i] = jsonValue(item)
		}
		return array
	default:
		return v
	}
}
