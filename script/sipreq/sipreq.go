// Package sipreq is the functions and variables with which a route looks at the SIP request
// that it runs for, and answers it.
//
// They have the meaning that OpenSIPS gives them. Where no SIP request is at hand, as in an
// event route, variables are NULL and functions fail; $si and $sp are there for whatever
// came from the network.
package sipreq

import (
	"errors"

	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/value"
	"github.com/evid/evid/source/sip"
)

// The modules that functions need, as in OpenSIPS.
const (
	SL        = "sl"        // sl_send_reply
	Signaling = "signaling" // send_reply
	Sipmsgops = "sipmsgops" // all others
)

// Library returns the functions and variables.
func Library() program.Library {
	return program.Library{Functions: functions(), Variables: variables()}
}

var errNoRequest = errors.New("no request is at hand: expected it in the main route, or one that it calls")

// request is the SIP request that the route runs for; nil if there is none. That of a
// source which knows more of it than source/sip is taken as well.
func request(r *program.Run) *sip.Request {
	if is, ok := r.Request().(interface{ SIP() *sip.Request }); ok {
		return is.SIP()
	}
	return nil
}

func variables() []program.Variable {
	return []program.Variable{
		text("rm", (*sip.Request).Method),
		text("ru", func(r *sip.Request) string { return r.URI().URI }),
		text("rU", func(r *sip.Request) string { return r.URI().User() }),
		text("rd", func(r *sip.Request) string { return r.URI().Domain() }),
		text("fu", func(r *sip.Request) string { return r.From().URI }),
		text("fU", func(r *sip.Request) string { return r.From().User() }),
		text("fd", func(r *sip.Request) string { return r.From().Domain() }),
		text("ft", func(r *sip.Request) string { return r.From().Tag }),
		text("tu", func(r *sip.Request) string { return r.To().URI }),
		text("tU", func(r *sip.Request) string { return r.To().User() }),
		text("td", func(r *sip.Request) string { return r.To().Domain() }),
		text("tt", func(r *sip.Request) string { return r.To().Tag }),
		text("ci", (*sip.Request).CallID),
		text("cs", (*sip.Request).CSeq),
		text("proto", (*sip.Request).Proto),
		text("rb", func(r *sip.Request) string { return string(r.Body()) }),
		text("mb", func(r *sip.Request) string { return string(r.Raw()) }),
		text("ua", func(r *sip.Request) string {
			h, _ := r.Header("User-Agent", 0)
			return h
		}),
		variable("ml", func(r *program.Run) value.Value {
			if of := request(r); of != nil {
				return value.Int(int64(len(of.Raw())))
			}
			return value.Value{}
		}),
		variable("si", func(r *program.Run) value.Value {
			if r.Request() == nil {
				return value.Value{}
			}
			return value.String(r.Request().Source().Addr().String())
		}),
		variable("sp", func(r *program.Run) value.Value {
			if r.Request() == nil {
				return value.Value{}
			}
			return value.Int(int64(r.Request().Source().Port()))
		}),
		indexed("hdr", "name of a header", func(r *sip.Request, name string, index int) (string, bool) {
			return r.Header(name, index)
		}),
		indexed("ct", "", func(r *sip.Request, _ string, index int) (string, bool) { return r.Contact(index) }),
	}
}

func variable(name string, read func(r *program.Run) value.Value) program.Variable {
	return program.Variable{Name: name, Bind: func(string) (func(*program.Run) value.Value, error) { return read, nil }}
}

// text is a variable that is NULL where get returns "".
func text(name string, get func(*sip.Request) string) program.Variable {
	return variable(name, func(r *program.Run) value.Value {
		if of := request(r); of != nil {
			if s := get(of); s != "" {
				return value.String(s)
			}
		}
		return value.Value{}
	})
}

// indexed is a variable that can have an index.
func indexed(name, subname string, get func(of *sip.Request, subname string, index int) (string, bool)) program.Variable {
	return program.Variable{Name: name, Subname: subname, BindIndexed: func(subname string) (func(*program.Run, int) value.Value, error) {
		return func(r *program.Run, index int) value.Value {
			if of := request(r); of != nil {
				if s, found := get(of, subname, index); found {
					return value.String(s)
				}
			}
			return value.Value{}
		}, nil
	}}
}
