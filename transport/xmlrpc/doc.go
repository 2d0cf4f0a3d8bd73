// Package xmlrpc is the transport of the module event_xmlrpc: each event is an
// XML-RPC call of the subscriber's method, over HTTP (scheme xmlrpc) or HTTPS
// (scheme xmlrpcs). The event's name is the call's first parameter.
//
// Unlike the module it is named after it reads the reply, and derives from it
// what became of the event: see [New] and the table in judge.go.
//
// # What is learned of a server
//
// Lanes with the same scheme, host and port share what they learn of the server,
// as long as one of them is open:
//
//   - A server that twice in a row closed the connection after its first reply,
//     without having said so, gets a connection for each call, for an hour.
//   - A path that has answered a single call as XML-RPC says is sent what waits in
//     calls of system.multicall: of 2 events, then of twice as many as the last time,
//     up to 64 or 256 KiB, and up to what takes a quarter of the timeout by the mean
//     time of a call. If its answer is not exactly one result for each event nothing
//     in it counts: the first event goes singly, and so do all for an hour.
//
// Events with a parameter whose name stands beside its value (use_struct_param=0)
// always go singly: a multicall has no place for it.
//
// A connection that was used before may just have been closed by the server: if
// not a byte of reply comes over it, the request goes once more over a new one.
// When a reply comes in parts each is acknowledged at once, where the system lets
// us: some servers wait for that. A server that has answered within 5 ms is quick: its
// next call waits in the kernel, if there is a place (see internal/tcp).
package xmlrpc
