package sipreq

import (
	"errors"
	"strings"

	"github.com/evid/evid/script/program"
	"github.com/evid/evid/source/sip"
)

func functions() []program.Function {
	code := program.Param{Name: "code", Type: program.Integer}
	reason := program.Param{Name: "reason"}
	mediaType := program.Param{Name: "type", Optional: true}
	return []program.Function{
		{Name: "sl_send_reply", Module: SL, Params: []program.Param{code, reason}, Bind: bindReply},
		{Name: "send_reply", Module: Signaling, Params: []program.Param{code, reason}, Bind: bindReply},
		{Name: "append_to_reply", Module: Sipmsgops, Params: []program.Param{{Name: "headers"}}, Bind: bindAppendToReply},
		{Name: "is_method", Module: Sipmsgops, Params: []program.Param{{Name: "methods", Type: program.Constant}}, Bind: bindIsMethod},
		{Name: "is_present_hf", Module: Sipmsgops, Params: []program.Param{{Name: "name"}}, Bind: bindIsPresent},
		{Name: "has_body", Module: Sipmsgops, Params: []program.Param{mediaType}, Bind: bindHasBody},
		{Name: "has_body_part", Module: Sipmsgops, Params: []program.Param{mediaType}, Bind: bindHasBody},
	}
}

// onRequest is a call that needs the request and a text.
func onRequest(text func(*program.Run) (string, error), call func(of *sip.Request, text string) (bool, error)) program.Call {
	return func(r *program.Run) (int64, error) {
		of := request(r)
		if of == nil {
			return program.False, errNoRequest
		}
		s, err := text(r)
		if err != nil {
			return program.False, err
		}
		ok, err := call(of, s)
		return program.Bool(ok && err == nil), err
	}
}

// bindReply binds sl_send_reply(code, reason). An ACK gets no reply, and true, as in
// OpenSIPS. A request that was captured gets none either, and false.
func bindReply(b *program.Binding) (program.Call, error) {
	code, reason := b.Int(0, 0), b.Text(1)
	return func(r *program.Run) (int64, error) {
		of := request(r)
		if of == nil {
			return program.False, errNoRequest
		}
		n, err := code(r)
		if err != nil {
			return program.False, err
		}
		text, err := reason(r)
		if err != nil {
			return program.False, err
		}
		err = of.Reply(int(n), text, nil)
		if errors.Is(err, sip.ErrNobody) { // a route may be for captured requests as well
			return program.False, nil
		}
		return program.Bool(err == nil), err
	}, nil
}

func bindAppendToReply(b *program.Binding) (program.Call, error) {
	return onRequest(b.Text(0), func(of *sip.Request, text string) (bool, error) {
		return true, of.AppendToReply(text)
	}), nil
}

// bindIsMethod binds is_method("INVITE|OPTIONS"), whatever the case of the letters.
func bindIsMethod(b *program.Binding) (program.Call, error) {
	text, _ := b.Constant(0)
	methods := strings.Split(text, "|")
	for i, method := range methods {
		if methods[i] = strings.TrimSpace(method); methods[i] == "" {
			return nil, &program.BindError{Arg: 0, Err: errors.New(`expected methods, such as "INVITE|OPTIONS"`)}
		}
	}
	return onRequest(b.Text(0), func(of *sip.Request, _ string) (bool, error) {
		for _, method := range methods {
			if strings.EqualFold(method, of.Method()) {
				return true, nil
			}
		}
		return false, nil
	}), nil
}

func bindIsPresent(b *program.Binding) (program.Call, error) {
	return onRequest(b.Text(0), func(of *sip.Request, name string) (bool, error) {
		_, found := of.Header(name, 0)
		return found, nil
	}), nil
}

// bindHasBody binds has_body([type]).
func bindHasBody(b *program.Binding) (program.Call, error) {
	return onRequest(b.Text(0), func(of *sip.Request, mediaType string) (bool, error) {
		return of.HasBody(mediaType), nil
	}), nil
}
