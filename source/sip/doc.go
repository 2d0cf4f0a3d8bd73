// Package sip receives SIP requests: over UDP, TCP and TLS, as a user agent server that
// keeps no state (RFC 3261, 8.2.7).
//
// A [Server] hands each request to a handler, which may answer it with [Request.Reply]. It
// takes care of the rest itself:
//
//   - Replies and keep-alive pings (RFC 5626) are counted; a ping over TCP or TLS gets its
//     pong. An ACK for a reply of the server is counted, and no request.
//   - A malformed message is counted. If it is a request that says enough to be answered,
//     it gets 400, or 505 if its version of SIP is not 2.0.
//   - A handler that waits holds up nobody who comes over UDP, and over TCP and TLS only
//     its connection. What would need more memory than the limits of [Params] allow is
//     dropped, and counted.
//
// Nothing that a peer sends stops a server. Addresses in a message are never contacted:
// replies go to the address that the request came from.
package sip
