package main

import (
	"errors"
	"net/http"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/evid/evid/internal/miclient"
)

// The exit codes, as the description in grammar.go tells them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitNobody      = 4
)

// codeNobody is how MI refuses to raise an event that nobody is subscribed to.
const codeNobody = 480

// A failure is an error that knows how evid ends because of it.
type failure struct {
	err  error
	hint string // what to do about it; empty: the error says it
	code int
}

func (f *failure) Error() string { return f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

// explain finds exit code and hint for what a command returned.
func explain(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if parse, ok := errors.AsType[*kong.ParseError](err); ok {
		return &failure{parse, `see "` + commandPath(parse.Context) + ` --help"`, exitUsage}
	}
	if unreachable, ok := errors.AsType[*miclient.UnreachableError](err); ok {
		if errors.Is(unreachable, syscall.ECONNREFUSED) {
			return &failure{err, "is it running? start it with: evid run", exitUnreachable}
		}
		return &failure{err, "name its URL with --mi or $EVID_MI", exitUnreachable}
	}
	if refused, ok := errors.AsType[*miclient.Error](err); ok {
		return explainRefusal(err, refused)
	}
	return &failure{err, "", exitFailed}
}

func explainRefusal(err error, refused *miclient.Error) *failure {
	switch {
	case refused.Code == codeNobody:
		return &failure{err, "subscribe a socket to it with: evid subscribe EVENT SOCKET", exitNobody}
	case refused.Code == http.StatusUnauthorized:
		return &failure{err, "name the daemon's token with --token or $EVID_TOKEN", exitFailed}
	case refused.Message == "Dead letter not found":
		return &failure{err, "list those that are kept with: evid dead-letters", exitFailed}
	case strings.HasPrefix(refused.Reason(), "unknown event"):
		return &failure{err, "make an event known with: evid register EVENT", exitFailed}
	default:
		return &failure{err, "", exitFailed}
	}
}

func commandPath(ctx *kong.Context) string {
	if node := ctx.Selected(); node != nil {
		return node.FullPath()
	}
	return ctx.Model.Name
}
