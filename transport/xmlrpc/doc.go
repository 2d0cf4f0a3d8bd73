// Package xmlrpc is the transport of the module event_xmlrpc: each event is an
// XML-RPC call of the subscriber's method, over HTTP (scheme xmlrpc) or HTTPS
// (scheme xmlrpcs). The event's name is the call's first parameter.
//
// Unlike the module it is named after it reads the reply, and derives from it
// what became of the event: see [New] and the table in judge.go.
package xmlrpc
