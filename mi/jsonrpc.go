package mi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Limits of a batch.
const (
	maxBatch      = 1000    // requests
	maxBatchReply = 4 << 20 // bytes; what comes after that in a batch is not executed
)

var errBatchReply = errors.New("the command was not executed: the replies to those before it in this batch are larger " +
	"than 4 MiB: expected fewer requests in it")

// ServeJSON executes a JSON-RPC 2.0 request, or a batch of up to 1000, and
// returns the reply; nil if none is due, as for notifications. Whatever the
// request is, the reply is valid JSON in one line without line break. Text after
// the request is ignored, as OpenSIPS does.
func (t *Table) ServeJSON(ctx context.Context, request []byte) (reply []byte) {
	v, err := parseJSON(request)
	switch {
	case err != nil:
		return ErrorReply(parseError(err))
	case v.Kind != Array:
		return t.serve(ctx, v)
	case len(v.Items) == 0:
		return ErrorReply(InvalidRequest("expected at least one request in the batch"))
	case len(v.Items) > maxBatch:
		return ErrorReply(InvalidRequest(fmt.Sprintf("expected at most %d requests in the batch, got %d",
			maxBatch, len(v.Items))))
	default:
		return t.serveBatch(ctx, v.Items)
	}
}

func (t *Table) serveBatch(ctx context.Context, requests []Value) []byte {
	var reply []byte
	for _, v := range requests {
		if ctx.Err() != nil {
			break // nobody is there any more
		}
		var one []byte
		if len(reply) < maxBatchReply {
			one = t.serve(ctx, v)
		} else {
			id, _ := requestID(v)
			one = errorReply(errBatchReply, id)
		}
		if one != nil {
			reply = append(append(reply, ','), one...)
		}
	}
	if reply == nil {
		return nil
	}
	reply[0] = '['
	return append(reply, ']')
}

// serve executes one request.
func (t *Table) serve(ctx context.Context, v Value) []byte {
	req, err := readRequest(v)
	if err != nil {
		return errorReply(err, req.id)
	}
	result, err := t.Call(ctx, req.method, req.params)
	if req.id == nil {
		return nil
	}
	if err != nil {
		return errorReply(err, req.id)
	}
	reply, err := appendReply("result", result, req.id)
	if err != nil {
		return errorReply(fmt.Errorf("encode the result of %s: %w", req.method, err), req.id)
	}
	return reply
}

type request struct {
	id     []byte // as the reply has it; nil: no reply is wanted
	method string
	params Value
}

// readRequest reads one request. Its error says which member is not as it has
// to be; the request then has the id if that was one.
func readRequest(v Value) (request, error) {
	var req request
	if v.Kind != Object {
		return req, InvalidRequest("expected a request, which is an object, got " + v.Kind.String())
	}
	var ok bool
	if req.id, ok = requestID(v); !ok {
		return req, InvalidRequest("expected an id that is a string, a number or null")
	}
	if version, _ := v.member("jsonrpc"); version.Kind != String || version.Text != "2.0" {
		return req, InvalidRequest(`expected the member "jsonrpc":"2.0"`)
	}
	method, _ := v.member("method")
	if method.Kind != String {
		return req, InvalidRequest(`expected a member "method" that is a string`)
	}
	req.method = method.Text
	params, sent := v.member("params")
	if sent && params.Kind != Array && params.Kind != Object {
		return req, InvalidRequest(`expected "params" to be an array or an object, got ` + params.Kind.String())
	}
	req.params = params
	return req, nil
}

// requestID returns the id of a request as the reply has it, nil if there is
// none, and false if it is something that cannot be an id.
func requestID(v Value) ([]byte, bool) {
	id, sent := v.member("id")
	switch {
	case !sent:
		return nil, true
	case id.Kind == Null:
		return nullID(), true
	case id.Kind == Number:
		return []byte(id.Text), true
	case id.Kind == String:
		text, err := appendJSON(nil, id.Text)
		return text, err == nil
	default:
		return nil, false
	}
}

func nullID() []byte { return []byte("null") }

// ErrorReply returns the reply to a request that did not come so far as to have
// an id: for what a carrier refuses on its own.
func ErrorReply(e *Error) []byte { return errorReply(e, nil) }

// errorReply returns the reply for an error; its id is null if none is given.
func errorReply(err error, id []byte) []byte {
	e := asError(err)
	if id == nil {
		id = nullID()
	}
	reply, err := appendReply("error", e, id)
	if err != nil { // a command's Data cannot be encoded
		return errorReply(&Error{e.Code, e.Message, err.Error()}, id)
	}
	return reply
}

// appendReply has the members in the order in which OpenSIPS sends them.
func appendReply(member string, value any, id []byte) ([]byte, error) {
	reply := append(make([]byte, 0, 64), `{"jsonrpc":"2.0","`...)
	reply = append(append(reply, member...), `":`...)
	reply, err := appendJSON(reply, value)
	if err != nil {
		return nil, err
	}
	reply = append(append(reply, `,"id":`...), id...)
	return append(reply, '}'), nil
}

// appendJSON appends a value as OpenSIPS prints it: in one line, '<' and '>' as
// they are.
func appendJSON(dst []byte, value any) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
