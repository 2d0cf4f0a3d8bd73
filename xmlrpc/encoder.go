package xmlrpc

import (
	"math"
	"strconv"
)

// A Shape is how the name of a parameter travels. Parameters without a name
// travel as plain values in every shape.
type Shape uint8

const (
	// NameBeside puts the name beside the value, <param><name>…</name><value>…:
	// what event_xmlrpc sends with use_struct_param=0. It is not valid XML-RPC.
	// The items of an array are plain values in this shape.
	NameBeside Shape = iota
	// NameInStruct makes a named parameter a struct of one member: what
	// event_xmlrpc sends with use_struct_param=1.
	NameInStruct
	// NameNone sends no names.
	NameNone
)

// A BigInt is how an integer outside 32 bits travels.
type BigInt uint8

// The ways of a big integer.
const (
	BigIntString BigInt = iota // as a <string> of its decimal digits, which every library understands
	BigIntI8                   // as an <i8>, an extension
)

// An Encoder appends calls whose parameters are strings and integers to buffers.
// It allocates only what the buffer needs to grow. A call is a sequence
//
//	CallStart ParamsStart {StringParam | IntParam} CallEnd
//
// and a system.multicall, which is a call of calls, a sequence
//
//	MulticallStart {MulticallItem} MulticallEnd
//
// The zero value is ready to use. An Encoder is not for several goroutines at once.
type Encoder struct {
	Shape  Shape
	BigInt BigInt
	// Replaced counts the characters that XML forbids and the bytes that are no
	// UTF-8 that the encoder has replaced by U+FFFD so far.
	Replaced int
}

// The parts that calls and multicalls share.
const (
	declaration = "<?xml version=\"1.0\"?>\n"
	callStart   = declaration + "<methodCall>\n<methodName>"
	paramsStart = "<params>\n"
	paramStart  = "<param>\n"
	paramEnd    = "</param>\n"
	callEnd     = "</params>\n</methodCall>"

	memberStart = "<value><struct><member>\n<name>"
	memberEnd   = "</member></struct></value>\n"
)

// CallStart begins a call of a method.
func (enc *Encoder) CallStart(dst []byte, method string) []byte {
	dst = append(dst, callStart...)
	dst = enc.text(dst, method)
	return append(dst, "</methodName>\n"...)
}

// ParamsStart begins the parameters of a call.
func (enc *Encoder) ParamsStart(dst []byte) []byte { return append(dst, paramsStart...) }

// StringParam appends a parameter that is a string. An empty name: unnamed.
func (enc *Encoder) StringParam(dst []byte, name, value string) []byte {
	dst, end := enc.paramStart(dst, name)
	dst = enc.stringValue(dst, value)
	return append(dst, end...)
}

// IntParam appends a parameter that is an integer. An empty name: unnamed.
func (enc *Encoder) IntParam(dst []byte, name string, value int64) []byte {
	dst, end := enc.paramStart(dst, name)
	dst = enc.intValue(dst, value)
	return append(dst, end...)
}

// CallEnd ends the parameters and the call.
func (enc *Encoder) CallEnd(dst []byte) []byte { return append(dst, callEnd...) }

// MulticallStart begins a call of system.multicall.
func (enc *Encoder) MulticallStart(dst []byte) []byte {
	return append(dst, callStart+multicallMethod+"</methodName>\n"+paramsStart+paramStart+"<value><array><data>\n"...)
}

// MulticallItemStart begins one call in a system.multicall. Its parameters follow:
// see [Encoder.StringItem] and [Encoder.IntItem].
func (enc *Encoder) MulticallItemStart(dst []byte, method string) []byte {
	dst = append(dst, memberStart+multicallName+"</name>\n"...)
	dst = enc.stringValue(dst, method)
	return append(dst, "</member><member>\n<name>"+multicallParams+"</name>\n<value><array><data>\n"...)
}

// MulticallItemEnd ends one call in a system.multicall.
func (enc *Encoder) MulticallItemEnd(dst []byte) []byte {
	return append(dst, "</data></array></value>\n"+memberEnd...)
}

// MulticallEnd ends a call of system.multicall.
func (enc *Encoder) MulticallEnd(dst []byte) []byte {
	return append(dst, "</data></array></value>\n"+paramEnd+callEnd...)
}

// StringItem appends a parameter of a system.multicall that is a string.
// An empty name: unnamed.
func (enc *Encoder) StringItem(dst []byte, name, value string) []byte {
	dst, end := enc.itemStart(dst, name)
	dst = enc.stringValue(dst, value)
	return append(dst, end...)
}

// IntItem appends a parameter of a system.multicall that is an integer.
// An empty name: unnamed.
func (enc *Encoder) IntItem(dst []byte, name string, value int64) []byte {
	dst, end := enc.itemStart(dst, name)
	dst = enc.intValue(dst, value)
	return append(dst, end...)
}

// paramStart appends what stands before the value of a parameter, and returns
// what stands after it.
func (enc *Encoder) paramStart(dst []byte, name string) (_ []byte, end string) {
	switch {
	case name == "" || enc.Shape == NameNone:
		return append(dst, paramStart...), paramEnd
	case enc.Shape == NameInStruct:
		return enc.name(dst, paramStart+memberStart, name), memberEnd + paramEnd
	default:
		return enc.name(dst, paramStart+"<name>", name), paramEnd
	}
}

// itemStart is paramStart for an item of an array.
func (enc *Encoder) itemStart(dst []byte, name string) (_ []byte, end string) {
	if name == "" || enc.Shape != NameInStruct {
		return dst, ""
	}
	return enc.name(dst, memberStart, name), memberEnd
}

func (enc *Encoder) name(dst []byte, start, name string) []byte {
	dst = append(dst, start...)
	dst = enc.text(dst, name)
	return append(dst, "</name>\n"...)
}

func (enc *Encoder) stringValue(dst []byte, value string) []byte {
	dst = append(dst, "<value><string>"...)
	dst = enc.text(dst, value)
	return append(dst, "</string></value>\n"...)
}

func (enc *Encoder) intValue(dst []byte, value int64) []byte {
	start, end := "<value><int>", "</int></value>\n"
	if value < math.MinInt32 || value > math.MaxInt32 {
		start, end = "<value><string>", "</string></value>\n"
		if enc.BigInt == BigIntI8 {
			start, end = "<value><i8>", "</i8></value>\n"
		}
	}
	dst = append(dst, start...)
	dst = strconv.AppendInt(dst, value, 10)
	return append(dst, end...)
}

func (enc *Encoder) text(dst []byte, text string) []byte {
	dst, replaced := appendEscaped(dst, text)
	enc.Replaced += replaced
	return dst
}
