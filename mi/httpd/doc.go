// Package httpd carries MI over HTTP, as the modules httpd and mi_http of
// OpenSIPS do: POST a JSON-RPC 2.0 request to /mi.
//
// It listens on the loopback interface. Beyond that, clients need a token or a
// TLS certificate. Requests of web pages, which have an Origin header, are
// refused: a browser is no MI client.
package httpd
