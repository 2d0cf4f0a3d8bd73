// Package xmlrpc is the XML-RPC wire format: it encodes calls and responses and
// decodes them within limits. It does no I/O.
//
// # Encoding
//
// An [Encoder] appends a call to a buffer of the caller's, piece by piece and
// without allocating, in the exact byte form of OpenSIPS' event_xmlrpc. The
// parameters of a call are strings and integers there, and they may have names,
// which XML-RPC does not know: the [Shape] says how names travel. With
// [NameBeside], the default of event_xmlrpc, a call that has named parameters is
// not valid XML-RPC, and few libraries understand it; [NameInStruct] is valid
// and understood by all.
//
// [AppendCall], [AppendResponse] and [AppendFault] encode values of all types:
//
//	Go                  XML-RPC
//	string              string
//	int, int64          int; outside 32 bits: i8
//	bool                boolean
//	float64             double; NaN and the infinities have none: an error
//	time.Time           dateTime.iso8601, in UTC, whole seconds; years 0 to 9999
//	[]byte              base64
//	[]any               array
//	Struct              struct, in the order of its members
//	nil                 nil
//
// Text is UTF-8. A character that XML cannot hold (most control characters,
// U+FFFE, U+FFFF) and each byte that is no UTF-8 become U+FFFD. A carriage return
// is escaped: XML would turn it into a line feed.
//
// # Decoding
//
// [DecodeCall], [DecodeResponse] and [DecodeMulticallResponse] are the way back:
// the same types in the other direction, but integers of every width become
// int64. They are strict about structure: an element that does not belong where
// it stands is an error, and so are a document type declaration, an entity that
// XML does not predefine, and an encoding other than UTF-8, US-ASCII and
// ISO-8859-1. They are lenient where real programs are careless:
//
//   - a value without a type is a string, with all its blanks;
//   - integers may be called int, i4, i1, i2 or i8, and each may hold 64 bits;
//   - nil and i8 are extensions, also as Apache's ex:nil and ex:i8;
//   - a param may hold a name beside its value, as event_xmlrpc sends it;
//   - the faultCode of a fault may be a string, but not inside a system.multicall;
//   - the results of a system.multicall may be bare values;
//   - attributes are ignored;
//   - bytes that are no UTF-8 and characters that XML forbids are U+FFFD.
//
// [CheckMulticallResponse] accepts what [DecodeMulticallResponse] accepts, but keeps
// nothing of it except faults, and allocates nothing without one: for who only wants
// to know which calls succeeded.
//
// [Limits] bound the time and the memory that a document can cost.
package xmlrpc
