package pike

import (
	"errors"

	"github.com/evid/evid/script/program"
)

var errNoRequest = errors.New("no request is at hand")

// Functions returns what scripts can call:
//
//	pike_check_req()
//
// It checks the address that the request came from, and returns a [Result] as an integer: 1,
// which is true, or -1 or -2. It is an error without a request.
func (p *Pike) Functions() []program.Function {
	return []program.Function{{
		Name: "pike_check_req", Module: "pike",
		Bind: func(*program.Binding) (program.Call, error) { return p.checkRequest, nil },
	}}
}

func (p *Pike) checkRequest(r *program.Run) (int64, error) {
	request := r.Request()
	if request == nil {
		return program.False, errNoRequest
	}
	return int64(p.Check(request.Source().Addr())), nil
}
