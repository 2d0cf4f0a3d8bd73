// Package miclient calls the management interface (MI) of a running daemon:
// JSON-RPC 2.0 over HTTP. It works with evid and with OpenSIPS' mi_http.
package miclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// DefaultURL is where a daemon's MI listens unless its configuration says otherwise.
const DefaultURL = "http://127.0.0.1:8888/mi"

const (
	callTimeout = time.Minute // a raise waits for the subscribers that are served synchronously
	maxReply    = 64 << 20    // bytes; a list of all subscribers can be long
	maxDetail   = 200         // bytes of an unexpected reply that an error quotes
	requestID   = "1"         // each connection carries one call at a time
)

// A Client calls MI commands. Its methods may be called from several goroutines
// at once.
type Client struct {
	url   *url.URL
	token string
	http  *http.Client
}

// New returns a client of the MI at rawURL, which starts with http:// or
// https://. A token that is not empty is sent as bearer token. New does no I/O.
// While the client's connections are refused it tries again for up to a second.
func New(rawURL, token string) (*Client, error) {
	return newWithDialer(rawURL, token, new(net.Dialer).DialContext)
}

func newWithDialer(rawURL, token string, dial dialFunc) (*Client, error) {
	u, err := url.Parse(rawURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil, fmt.Errorf("parse MI URL %q: expected one such as %s", rawURL, DefaultURL)
	}
	return &Client{url: u, token: token, http: &http.Client{
		Timeout:       callTimeout,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: patient(dial)},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close closes the idle connections of the client.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// An UnreachableError says that no MI answers at a URL.
type UnreachableError struct {
	URL string // without the password, if it has one
	Err error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("reach the daemon at %s: %v", e.URL, e.Err)
}

// Unwrap returns why there was no answer.
func (e *UnreachableError) Unwrap() error { return e.Err }

// An Error is the daemon's refusal of a command.
type Error struct {
	Code    int             // of JSON-RPC, or of the command, in the manner of SIP and HTTP
	Message string          // as OpenSIPS words it: "Event not registered"
	Data    json.RawMessage // the reason, mostly a string; nil: none
}

// Error returns message, code and reason: "event not registered (404): …".
func (e *Error) Error() string {
	text := fmt.Sprintf("%s (%d)", strings.ToLower(e.Message), e.Code)
	if reason := e.Reason(); reason != "" {
		text += ": " + reason
	}
	return text
}

// Reason returns Data for people: a string as it is, anything else as JSON.
func (e *Error) Reason() string {
	var text string
	if json.Unmarshal(e.Data, &text) == nil {
		return text
	}
	return string(e.Data)
}

type request struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  any             `json:"params,omitempty"`
}

type reply struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  json.RawMessage `json:"result"`
	Error   *Error          `json:"error"`
}

// Call has the daemon carry out a command and returns its result, digit for
// digit. Params is what encoding/json makes an array (positional parameters) or
// an object (named ones) of; nil: none. The error is an [*Error], an
// [*UnreachableError] or that of encoding params.
func (c *Client) Call(ctx context.Context, command string, params any) (json.RawMessage, error) {
	body, err := encode(request{JSONRPC: "2.0", ID: json.RawMessage(requestID), Method: command, Params: params})
	if err != nil {
		return nil, fmt.Errorf("encode the parameters of %s: %w", command, err)
	}
	status, data, err := c.post(ctx, body)
	if err != nil {
		return nil, c.unreachable(err)
	}
	var r reply
	if err := json.Unmarshal(data, &r); err != nil || r.JSONRPC != "2.0" {
		return nil, c.unreachable(fmt.Errorf("expected a JSON-RPC 2.0 response, got %d %s with %q",
			status, http.StatusText(status), clip(data)))
	}
	if r.Error != nil {
		return nil, r.Error
	}
	if r.Result == nil || string(r.ID) != requestID {
		return nil, c.unreachable(fmt.Errorf("expected a result of request %s, got %q", requestID, clip(data)))
	}
	return r.Result, nil
}

// encode is json.Marshal without escaping what only HTML needs escaped.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return buf.Bytes(), err
}

// post returns status and body of the response.
func (c *Client) post(ctx context.Context, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err == nil && len(data) > maxReply {
		err = fmt.Errorf("expected at most %d MiB, got more", maxReply>>20)
	}
	return resp.StatusCode, data, err
}

// unreachable wraps err, less the URL that net/http puts in front.
func (c *Client) unreachable(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return &UnreachableError{URL: c.url.Redacted(), Err: err}
}

func clip(data []byte) string {
	if len(data) > maxDetail {
		return string(data[:maxDetail]) + "…"
	}
	return string(data)
}
