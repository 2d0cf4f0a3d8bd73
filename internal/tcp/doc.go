// Package tcp makes TCP connections for calls: a request goes out, and its reply
// is awaited. They are cheapest where those of package net are dear: for a few calls
// at a time that are answered at once.
//
// Who reads from a connection of package net parks its goroutine with Go's poller, and
// the next event on any connection wakes a thread that looks whom it is for. With
// thousands of calls under way that is how it has to be. With one it is most of what
// the call costs, and keeps the processor busy on which its server is to answer. So a
// few calls, one less than there are processors, may wait in the kernel as a program in
// C would. If that lasts, or there are more, the poller gets the connection.
package tcp
