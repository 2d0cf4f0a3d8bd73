package mi

import (
	"errors"
	"fmt"
)

// Error codes of JSON-RPC 2.0. Commands also answer with codes of their own, in
// the manner of SIP and HTTP: 400, 404, 480, 500.
const (
	CodeParseError     = -32700
	CodeInvalidRequest = -32600
	CodeMethodNotFound = -32601
	CodeInvalidParams  = -32602
	CodeServerError    = -32000
)

// An Error is how a call fails. Code and Message are those of OpenSIPS, for
// programs; Data gives the reason, nearly always as a string; nil: there is none.
type Error struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

func (e *Error) Error() string {
	if e.Data == nil {
		return fmt.Sprintf("%d %s", e.Code, e.Message)
	}
	return fmt.Sprintf("%d %s: %v", e.Code, e.Message, e.Data)
}

// InvalidRequest returns the error for what is no JSON-RPC 2.0 request.
func InvalidRequest(reason string) *Error {
	return &Error{CodeInvalidRequest, "Invalid Request", reason}
}

func parseError(reason error) *Error {
	return &Error{CodeParseError, "Parse error", reason.Error()}
}

func methodNotFound(reason string) *Error {
	return &Error{CodeMethodNotFound, "Method not found", reason}
}

func invalidParams(reason string) *Error {
	return &Error{CodeInvalidParams, "Invalid params", reason}
}

func serverError(reason error) *Error {
	return &Error{CodeServerError, "Server error", reason.Error()}
}

// asError returns the Error that err is or wraps; any other is a server error.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return serverError(err)
}
