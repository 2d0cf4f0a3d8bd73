package xmlrpc

import (
	"errors"
	"fmt"
	"slices"
)

// Multicall returns the calls inside a call of system.multicall. Their
// parameters have no Name. That the call is no system.multicall is an error, and
// so is an inner call that is no struct of a methodName and an array of params.
func (c *Call) Multicall() ([]Call, error) {
	calls, err := c.multicall()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", multicallMethod, err)
	}
	return calls, nil
}

var errMulticallParams = errors.New("expected one parameter, an array of calls")

func (c *Call) multicall() ([]Call, error) {
	if c.Method != multicallMethod {
		return nil, fmt.Errorf("expected a call of it, got one of %.40q", c.Method)
	}
	if len(c.Params) != 1 {
		return nil, errMulticallParams
	}
	items, isArray := c.Params[0].Value.([]any)
	if !isArray {
		return nil, errMulticallParams
	}
	calls := make([]Call, len(items))
	for i, item := range items {
		var err error
		if calls[i], err = innerCall(item); err != nil {
			return nil, fmt.Errorf("call %d: %w", i+1, err)
		}
	}
	return calls, nil
}

func innerCall(item any) (call Call, err error) {
	members, _ := item.(Struct)
	method, _ := members.Get(multicallName)
	params, _ := members.Get(multicallParams)
	name, isString := method.(string)
	values, isArray := params.([]any)
	if !isString || name == "" || !isArray {
		return call, errors.New("expected a struct of a methodName and an array of params")
	}
	call = Call{Method: name, Params: make([]Param, len(values))}
	for i, v := range values {
		call.Params[i].Value = v
	}
	return call, nil
}

// DecodeMulticallResponse decodes the response to a system.multicall of n calls:
// for clients who want the values; to know what has failed
// [CheckMulticallResponse] is enough. The response must be an array of n results,
// each an array of one value or a fault; anything else is an error. If the
// response as a whole is a fault (the server has no system.multicall), the error is
// a [*Fault].
//
// Perl's RPC::XML answers with the values themselves, without an array around
// each: it has made the calls, and who made them again would make them twice. So n
// values, none of which is an array or a struct, are n results too. Values with a
// structure are not: a server that answers any call by returning its parameters
// has made none.
func DecodeMulticallResponse(data []byte, n int, lim Limits) ([]MulticallResult, error) {
	v, err := DecodeResponse(data, lim)
	if err != nil {
		return nil, err
	}
	results, err := multicallResults(v, n)
	if err != nil {
		return nil, fmt.Errorf("decode methodResponse of %s: %w", multicallMethod, err)
	}
	return results, nil
}

func multicallResults(v any, n int) ([]MulticallResult, error) {
	items, isArray := v.([]any)
	if !isArray {
		return nil, fmt.Errorf("expected an array of %d results, got %s", n, typeName(v))
	}
	if len(items) != n {
		return nil, fmt.Errorf("expected %d results, got %d", n, len(items))
	}
	results := make([]MulticallResult, n)
	bare := !slices.ContainsFunc(items, hasStructure)
	for i, item := range items {
		if bare {
			results[i].Value = item
			continue
		}
		if one, isArray := item.([]any); isArray && len(one) == 1 {
			results[i].Value = one[0]
			continue
		}
		if results[i].Fault = resultFault(item); results[i].Fault == nil {
			return nil, fmt.Errorf("result %d: expected an array of one value or a fault, got %s", i+1, typeName(item))
		}
	}
	return results, nil
}

func hasStructure(v any) bool {
	switch v.(type) {
	case []any, Struct:
		return true
	default:
		return false
	}
}

// resultFault returns the fault that a result of a multicall says, nil if it is
// none. Its code must be a number, else it might as well be what was sent, returned.
func resultFault(v any) *Fault {
	members, _ := v.(Struct)
	code, _ := members.Get(faultCode)
	if _, isNumber := code.(int64); !isNumber {
		return nil
	}
	return faultOf(v)
}

// typeName says for error texts what a decoded value is.
func typeName(v any) string {
	switch v := v.(type) {
	case []any:
		return fmt.Sprintf("an array of %d", len(v))
	case Struct:
		return "a struct"
	default:
		return fmt.Sprintf("%.40q", fmt.Sprint(v))
	}
}
