// Package tcp makes TCP connections for calls: a request goes out, and its reply is
// awaited. They are cheaper than those of package net, in which each waits with a goroutine
// of its own: to wake that for a reply is most of what a call costs.
//
// Who calls is a [Task]. When it has to wait, the task is suspended. A loop, one goroutine,
// waits for all connections at once and resumes the tasks whose replies have come, one after
// the other: each takes its reply, and makes its next call, without anybody being woken.
// There are several loops when there are processors for them.
//
// One quick call at a time, or as many as there are processors but one, need no loop: they
// wait in the kernel as a program in C would. When they become more, or when one lasts, the
// loop has their connections.
package tcp
