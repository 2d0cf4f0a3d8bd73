// Package mi is the management interface of OpenSIPS (MI): a table of commands
// and JSON-RPC 2.0 to call them. What carries the requests (HTTP, datagrams, a
// FIFO) hands them to [Table.ServeJSON].
//
// Commands, parameters, results and errors are those of OpenSIPS, and every
// command has both of its names there: raise_event and evi:raise. Where OpenSIPS
// answers with a bare code and message, the reason follows in the error's data.
package mi
