package xmlrpc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"unicode"

	"github.com/evid/evid"
	"github.com/evid/evid/xmlrpc"
)

// responseTag is in every response of XML-RPC.
const responseTag = "<methodResponse"

// judge says what a whole reply to a single call means for the event.
//
//	2xx, methodResponse without a fault            delivered
//	2xx that is no methodResponse                  delivered, counted apart: people write receivers by hand
//	2xx with a fault of retry_faults; 500          retry, the event
//	2xx with another fault                         rejected
//	401 403 404 405 407 408 425 429, other 5xx, 3xx   retry, the subscriber
//	410                                            gone
//	other 4xx (400 411 413 414 422 …)              rejected
//
// The reply to a system.multicall counts only if it is 2xx and has a value or a
// fault for each event, see [socket.judgeResult]; else the first event goes singly.
func (s *socket) judge(rep *reply) evid.Result {
	result := evid.Result{Sent: true, Answered: true, Code: rep.status, After: rep.retryAfter}
	if rep.status/100 == 2 {
		s.judgeBody(rep, &result)
		return result
	}
	result.Detail = fmt.Sprintf("HTTP status %d %s", rep.status, http.StatusText(rep.status))
	switch rep.status {
	case 410:
		result.Verdict = evid.Gone
	case 500:
		result.Verdict, result.Blame = evid.Retry, evid.TheEvent
	case 401, 403, 404, 405, 407, 408, 425, 429: // they end when somebody sets the server right, or by themselves
		result.Verdict, result.Blame = evid.Retry, evid.TheSubscriber
	default:
		result.Verdict, result.Blame = evid.Retry, evid.TheSubscriber
		if rep.status/100 == 4 {
			result.Verdict, result.Blame = evid.Rejected, evid.NoOne
		}
	}
	return result
}

// judgeBody looks for a fault: one comes with the status 200.
func (s *socket) judgeBody(rep *reply, result *evid.Result) {
	result.Verdict = evid.Delivered
	if !bytes.Contains(rep.body, []byte(responseTag)) {
		result.Odd = true
		result.Detail = "the reply is no methodResponse"
		return
	}
	// Outside CDATA no string can hold "<fault". Only what might be one is parsed.
	if !bytes.Contains(rep.body, []byte("<fault")) {
		return
	}
	_, err := xmlrpc.DecodeResponse(rep.body, xmlrpc.Limits{Bytes: maxBody})
	var fault *xmlrpc.Fault
	switch {
	case err == nil: // it was in a comment or the like
	case !errors.As(err, &fault) && rep.cut:
		result.Odd = true
		result.Detail = fmt.Sprintf("the reply is longer than %d bytes", maxBody)
	case !errors.As(err, &fault):
		result.Verdict = evid.Rejected
		result.Detail = line(fmt.Sprintf("a fault that cannot be read: %v", err))
	default:
		s.judgeFault(fault, result)
	}
}

// judgeFault says what a fault means for the event.
func (s *socket) judgeFault(fault *xmlrpc.Fault, result *evid.Result) {
	result.Verdict = evid.Rejected
	if slices.Contains(s.opts.RetryFaults, fault.Code) {
		result.Verdict, result.Blame = evid.Retry, evid.TheEvent
	}
	result.Code, result.Detail = fault.Code, line(fault.Error())
}

// judgeResult says what one result of a system.multicall means for its event: a
// value, or a fault as that of a single call.
func (s *socket) judgeResult(rep *reply, fault *xmlrpc.Fault) evid.Result {
	result := evid.Result{Verdict: evid.Delivered, Sent: true, Answered: true, Code: rep.status, After: rep.retryAfter}
	if fault != nil {
		s.judgeFault(fault, &result)
	}
	return result
}

// line makes one short line of what a server sent: it goes into the log.
func line(text string) string {
	const longest = 256
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text[:min(len(text), longest)])
	return strings.ToValidUTF8(text, "")
}

// judgeDial says what it means that there is no connection.
func (s *socket) judgeDial(err error) evid.Result {
	address := s.address()
	result := evid.Result{Verdict: evid.Retry, Blame: evid.TheDestination}
	switch {
	case noDescriptor(err):
		result.Blame = evid.TheProcess
		result.Detail = fmt.Sprintf("connect to %s: no file descriptor is free", address)
	case isTimeout(err):
		result.Detail = fmt.Sprintf("connect to %s: no connection within %v", address, s.opts.ConnectTimeout)
	default:
		result.Detail = fmt.Sprintf("connect to %s: %v", address, reason(err))
	}
	return result
}

// judgeDial says what it means that there is no connection, after a request that
// may have been sent over another.
func (o *outcome) judgeDial(s *socket) evid.Result {
	result := s.judgeDial(o.dial)
	result.Sent = o.sent
	return result
}

// noDescriptor reports whether err comes of having no file descriptor left. The
// resolver does not say so.
func noDescriptor(err error) bool {
	if _, resolving := errors.AsType[*net.DNSError](err); resolving {
		var file *os.File
		if file, err = os.Open(os.DevNull); err == nil {
			file.Close()
		}
	}
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// judgeBroken says what it means that no whole reply came.
func (s *socket) judgeBroken(err error, answered bool) evid.Result {
	result := evid.Result{Verdict: evid.Retry, Blame: evid.TheSubscriber, Sent: true, Answered: answered}
	switch {
	case isTimeout(err) && answered:
		result.Detail = fmt.Sprintf("no whole reply within %v", s.opts.Timeout)
	case isTimeout(err):
		result.Detail = fmt.Sprintf("no reply within %v", s.opts.Timeout)
	case errors.Is(err, errNotHTTP):
		result.Detail = line(err.Error())
	case errors.Is(err, io.EOF):
		result.Detail = errEarly.Error()
	default:
		result.Detail = fmt.Sprintf("%v: %v", errEarly, reason(err))
	}
	return result
}

// judgeUnwritten says what it means that the call to a receiver that never
// answers could not be written.
func (s *socket) judgeUnwritten(err error) evid.Result {
	result := evid.Result{Verdict: evid.Retry, Blame: evid.TheSubscriber, Sent: true}
	if isTimeout(err) {
		result.Detail = fmt.Sprintf("the call could not be written within %v", s.opts.Timeout)
	} else {
		result.Detail = fmt.Sprintf("the call could not be written: %v", reason(err))
	}
	return result
}

// judgeRefused says what it means that a new TLS connection ended without a
// reply: with TLS 1.3 a server that wants another client certificate says so, or
// just ends, only after the handshake.
func (s *socket) judgeRefused(err error) evid.Result {
	result := s.judgeBroken(err, false)
	result.Blame = evid.TheDestination
	result.Detail += " (is the client certificate the one it wants?)"
	return result
}

func isTimeout(err error) bool {
	netErr, ok := errors.AsType[net.Error](err)
	return ok && netErr.Timeout()
}

// reason strips the addresses from an error of package net: whose port it was
// changes with each attempt, and a log should not say the same thing anew.
func reason(err error) error {
	var opErr *net.OpError
	if errors.As(err, &opErr) && opErr.Err != nil {
		err = opErr.Err
	}
	if sysErr, ok := errors.AsType[*os.SyscallError](err); ok {
		return sysErr.Err
	}
	return err
}
