package xmlrpc

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// AppendCall appends a call whose parameters are of any type that the package
// knows. The error says which parameter has no XML-RPC form; dst is then
// returned as it was.
func AppendCall(dst []byte, method string, params ...any) ([]byte, error) {
	out := append(dst, callStart...)
	out = appendText(out, method)
	out = append(out, "</methodName>\n"+paramsStart...)
	for i, param := range params {
		var err error
		out = append(out, paramStart...)
		if out, err = appendValue(out, param, DefaultDepth); err != nil {
			return dst, fmt.Errorf("encode methodCall: param %d: %w", i+1, err)
		}
		out = append(out, '\n')
		out = append(out, paramEnd...)
	}
	return append(out, callEnd...), nil
}

const (
	responseStart = declaration + "<methodResponse>\n"
	responseEnd   = "</methodResponse>\n"
)

// AppendResponse appends the answer to a call that succeeded with v. If v has
// no XML-RPC form, that is an error and dst is returned as it was.
func AppendResponse(dst []byte, v any) ([]byte, error) {
	out, err := appendValue(append(dst, responseStart+paramsStart+paramStart...), v, DefaultDepth)
	if err != nil {
		return dst, fmt.Errorf("encode methodResponse: %w", err)
	}
	return append(out, "\n"+paramEnd+"</params>\n"+responseEnd...), nil
}

// AppendFault appends the answer to a call that failed.
func AppendFault(dst []byte, fault Fault) []byte {
	dst = append(dst, responseStart+"<fault>\n"...)
	dst = appendFaultValue(dst, fault)
	return append(dst, "\n</fault>\n"+responseEnd...)
}

// AppendMulticallResponse appends the answer to a system.multicall: one result
// for each of its calls, in order. The error says which result has no XML-RPC
// form; dst is then returned as it was.
func AppendMulticallResponse(dst []byte, results []MulticallResult) ([]byte, error) {
	out := append(dst, responseStart+paramsStart+paramStart+"<value><array><data>\n"...)
	for i, r := range results {
		if r.Fault != nil {
			out = appendFaultValue(out, *r.Fault)
			out = append(out, '\n')
			continue
		}
		var err error
		out = append(out, "<value><array><data>"...)
		if out, err = appendValue(out, r.Value, DefaultDepth-2); err != nil {
			return dst, fmt.Errorf("encode methodResponse: result %d: %w", i+1, err)
		}
		out = append(out, "</data></array></value>\n"...)
	}
	return append(out, "</data></array></value>\n"+paramEnd+"</params>\n"+responseEnd...), nil
}

func appendFaultValue(dst []byte, fault Fault) []byte {
	dst = append(dst, "<value><struct><member><name>"+faultCode+"</name>"...)
	dst = appendInt(dst, int64(fault.Code))
	dst = append(dst, "</member><member><name>"+faultString+"</name>"...)
	dst = appendString(dst, fault.String)
	return append(dst, "</member></struct></value>"...)
}

// appendValue appends a <value>. At most depth values may stand inside one
// another: a slice can hold itself.
func appendValue(dst []byte, v any, depth int) ([]byte, error) {
	if depth == 0 {
		return dst, fmt.Errorf("expected values nested at most %d deep", DefaultDepth)
	}
	switch v := v.(type) {
	case nil:
		return append(dst, "<value><nil/></value>"...), nil
	case string:
		return appendString(dst, v), nil
	case int:
		return appendInt(dst, int64(v)), nil
	case int64:
		return appendInt(dst, v), nil
	case bool:
		return appendBool(dst, v), nil
	case float64:
		return appendDouble(dst, v)
	case time.Time:
		return appendTime(dst, v)
	case []byte:
		dst = append(dst, "<value><base64>"...)
		dst = base64.StdEncoding.AppendEncode(dst, v)
		return append(dst, "</base64></value>"...), nil
	case []any:
		return appendArray(dst, v, depth)
	case Struct:
		return appendStruct(dst, v, depth)
	default:
		return dst, fmt.Errorf("expected a type that XML-RPC has, got %T", v)
	}
}

func appendArray(dst []byte, items []any, depth int) ([]byte, error) {
	dst = append(dst, "<value><array><data>"...)
	for i, item := range items {
		var err error
		if dst, err = appendValue(dst, item, depth-1); err != nil {
			return dst, fmt.Errorf("item %d: %w", i+1, err)
		}
	}
	return append(dst, "</data></array></value>"...), nil
}

func appendStruct(dst []byte, members Struct, depth int) ([]byte, error) {
	dst = append(dst, "<value><struct>"...)
	for _, m := range members {
		var err error
		dst = append(dst, "<member><name>"...)
		dst = appendText(dst, m.Name)
		dst = append(dst, "</name>"...)
		if dst, err = appendValue(dst, m.Value, depth-1); err != nil {
			return dst, fmt.Errorf("member %.40q: %w", m.Name, err)
		}
		dst = append(dst, "</member>"...)
	}
	return append(dst, "</struct></value>"...), nil
}

func appendString(dst []byte, text string) []byte {
	dst = append(dst, "<value><string>"...)
	dst = appendText(dst, text)
	return append(dst, "</string></value>"...)
}

func appendText(dst []byte, text string) []byte {
	dst, _ = appendEscaped(dst, text)
	return dst
}

func appendInt(dst []byte, n int64) []byte {
	start, end := "<value><int>", "</int></value>"
	if n < math.MinInt32 || n > math.MaxInt32 {
		start, end = "<value><i8>", "</i8></value>"
	}
	dst = append(dst, start...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, end...)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, "<value><boolean>1</boolean></value>"...)
	}
	return append(dst, "<value><boolean>0</boolean></value>"...)
}

func appendDouble(dst []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return dst, fmt.Errorf("expected a finite double, got %v", f)
	}
	dst = append(dst, "<value><double>"...)
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64) // XML-RPC has no exponents
	return append(dst, "</double></value>"...), nil
}

var errYear = errors.New("expected a time in the years 0 to 9999")

const timeLayout = "20060102T15:04:05"

func appendTime(dst []byte, t time.Time) ([]byte, error) {
	t = t.UTC()
	if t.Year() < 0 || t.Year() > 9999 {
		return dst, errYear
	}
	dst = append(dst, "<value><dateTime.iso8601>"...)
	dst = t.AppendFormat(dst, timeLayout)
	return append(dst, "</dateTime.iso8601></value>"...), nil
}
