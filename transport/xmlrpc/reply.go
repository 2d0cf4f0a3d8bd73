package xmlrpc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Limits of a reply. What is longer than maxBody is cut, and its connection
// closed.
const (
	maxHead = 64 << 10
	maxBody = 1 << 20
)

// A reply is an HTTP reply, as much of it as came.
type reply struct {
	status     int
	body       []byte
	keepalive  bool          // the connection can serve another call
	cut        bool          // the body was longer than maxBody
	retryAfter time.Duration // 0: the server did not say
}

// What readReply returns for a reply that is none. Errors of the connection
// come as they are.
var (
	errEarly   = errors.New("the reply ended early")
	errNotHTTP = errors.New("expected an HTTP reply")
)

// A replyReader reads replies from a connection. It keeps its buffer for the
// next one. It was written for speed and for servers that take liberties: lines
// may end with a bare LF, and HTTP/1.0 is fine.
type replyReader struct {
	buf  []byte // what was read
	done int    // how much of buf was parsed
}

// started reports whether a byte of the reply has come.
func (r *replyReader) started() bool { return len(r.buf) > 0 }

// reset makes it ready for the next reply.
func (r *replyReader) reset() { r.buf, r.done = r.buf[:0], 0 }

// read reads one reply to its end. What there is of it already stands in the buffer.
func (r *replyReader) read(conn io.Reader) (reply, error) {
	for {
		rep, framing, err := r.readHead(conn)
		if err != nil {
			return reply{}, err // half a head says nothing
		}
		if rep.status/100 == 1 { // interim: the reply is still to come
			if r.done > maxHead {
				return reply{}, fmt.Errorf("%w after interim ones", errNotHTTP)
			}
			continue
		}
		switch {
		case rep.status == http.StatusNoContent || rep.status == http.StatusNotModified:
			if framing.chunked || framing.length > 0 { // a body all the same may follow
				rep.keepalive = false
			}
		case framing.chunked:
			err = r.readChunked(conn, &rep)
		case framing.length >= 0:
			err = r.readLength(conn, &rep, framing.length)
		default:
			rep.keepalive = false
			err = r.readToEOF(conn, &rep)
		}
		if rep.cut || r.done < len(r.buf) { // bytes after the reply belong to no call
			rep.keepalive = false
		}
		return rep, err
	}
}

// room returns where the next bytes are to be put, and took says how many were.
func (r *replyReader) room() []byte {
	if len(r.buf) == cap(r.buf) {
		grown := make([]byte, len(r.buf), max(firstBuffer, 2*cap(r.buf)))
		copy(grown, r.buf)
		r.buf = grown
	}
	return r.buf[len(r.buf):cap(r.buf)]
}

func (r *replyReader) took(n int) { r.buf = r.buf[:len(r.buf)+n] }

// more reads what comes next into the buffer.
func (r *replyReader) more(conn io.Reader) error {
	n, err := conn.Read(r.room())
	r.took(n)
	if n > 0 {
		return nil
	}
	return err
}

// line returns the next line without its end.
func (r *replyReader) line(conn io.Reader, limit int) ([]byte, error) {
	start, searched := r.done, r.done
	for {
		if i := bytes.IndexByte(r.buf[searched:], '\n'); i >= 0 {
			r.done = searched + i + 1
			return bytes.TrimSuffix(r.buf[start:searched+i], []byte("\r")), nil
		}
		if len(r.buf)-start > limit {
			return nil, fmt.Errorf("%w: a line is longer than %d bytes", errNotHTTP, limit)
		}
		searched = len(r.buf)
		if err := r.more(conn); err != nil {
			return nil, err
		}
	}
}

// framing says where the body ends.
type framing struct {
	chunked bool
	length  int64 // -1: unknown
}

func (r *replyReader) readHead(conn io.Reader) (reply, framing, error) {
	var rep reply
	body := framing{length: -1}
	start := r.done
	line, err := r.line(conn, maxHead)
	if err != nil {
		return rep, body, err
	}
	rep.status, rep.keepalive, err = parseStatus(line)
	if err != nil {
		return rep, body, err
	}
	for {
		line, err := r.line(conn, maxHead)
		if err != nil {
			return rep, body, err
		}
		if len(line) == 0 {
			return rep, body, nil
		}
		if r.done-start > maxHead {
			return rep, body, fmt.Errorf("%w: a head of at most %d bytes", errNotHTTP, maxHead)
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if err := rep.field(&body, name, bytes.TrimSpace(value)); err != nil {
			return rep, body, err
		}
	}
}

// parseStatus reads "HTTP/1.1 200 OK".
func parseStatus(line []byte) (status int, keepalive bool, err error) {
	version, rest, _ := bytes.Cut(line, []byte(" "))
	code, _, _ := bytes.Cut(bytes.TrimLeft(rest, " "), []byte(" "))
	status, err = strconv.Atoi(string(code))
	if !bytes.HasPrefix(version, []byte("HTTP/1.")) || err != nil || status < 100 || status > 999 {
		return 0, false, fmt.Errorf("%w, got %q", errNotHTTP, line[:min(len(line), 60)])
	}
	return status, !bytes.Equal(version, []byte("HTTP/1.0")), nil
}

// field takes in one header field.
func (rep *reply) field(body *framing, name, value []byte) error {
	switch {
	case equalFold(name, "Content-Length"):
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("%w: Content-Length is %q", errNotHTTP, value[:min(len(value), 60)])
		}
		body.length = n
	case equalFold(name, "Transfer-Encoding"):
		body.chunked = !equalFold(value, "identity")
	case equalFold(name, "Connection"):
		if equalFold(value, "close") {
			rep.keepalive = false
		} else if equalFold(value, "keep-alive") {
			rep.keepalive = true
		}
	case equalFold(name, "Retry-After"):
		rep.retryAfter = parseRetryAfter(string(value), time.Now())
	}
	return nil
}

func equalFold(b []byte, s string) bool { return len(b) == len(s) && strings.EqualFold(string(b), s) }

// maxRetryAfter is how long a server can make a subscriber wait.
const maxRetryAfter = time.Hour

// parseRetryAfter reads both forms of the field: seconds and a date.
func parseRetryAfter(value string, now time.Time) time.Duration {
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds, _ := strconv.ParseUint(value, 10, 64) // if it is out of range, the greatest
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil {
		return min(max(0, date.Sub(now)), maxRetryAfter)
	}
	return 0
}

func (r *replyReader) readLength(conn io.Reader, rep *reply, length int64) error {
	rep.cut = length > maxBody
	end := r.done + int(min(length, maxBody))
	for len(r.buf) < end {
		if err := r.more(conn); err != nil {
			return err
		}
	}
	rep.body = r.buf[r.done:end]
	r.done = end
	return nil
}

func (r *replyReader) readToEOF(conn io.Reader, rep *reply) error {
	for len(r.buf)-r.done <= maxBody {
		if err := r.more(conn); errors.Is(err, io.EOF) {
			rep.body = r.buf[r.done:]
			r.done = len(r.buf)
			return nil
		} else if err != nil {
			return err
		}
	}
	rep.cut = true
	rep.body = r.buf[r.done : r.done+maxBody]
	return nil
}

// readChunked puts the chunks together where they are: the body begins where
// the first chunk's size line was.
func (r *replyReader) readChunked(conn io.Reader, rep *reply) error {
	const maxLine = 4096
	start, end := r.done, r.done // of the body
	for {
		if r.done-start > 2*maxBody { // mostly size lines with extensions
			rep.cut = true
			rep.body = r.buf[start:end]
			return nil
		}
		line, err := r.line(conn, maxLine)
		if err != nil {
			return err
		}
		digits, _, _ := bytes.Cut(line, []byte(";"))
		size, err := strconv.ParseUint(string(bytes.TrimSpace(digits)), 16, 31)
		if err != nil {
			return fmt.Errorf("%w: chunk size %q", errNotHTTP, line[:min(len(line), 60)])
		}
		if size == 0 {
			break
		}
		if end-start+int(size) > maxBody {
			rep.cut = true
			rep.body = r.buf[start:end]
			return nil
		}
		for len(r.buf) < r.done+int(size) {
			if err := r.more(conn); err != nil {
				return err
			}
		}
		end += copy(r.buf[end:], r.buf[r.done:r.done+int(size)])
		r.done += int(size)
		if _, err := r.line(conn, maxLine); err != nil { // the line end behind the chunk
			return err
		}
	}
	rep.body = r.buf[start:end]
	for trailers := 0; trailers <= maxHead; { // up to an empty line
		line, err := r.line(conn, maxLine)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		trailers += len(line)
	}
	return fmt.Errorf("%w: trailers of at most %d bytes", errNotHTTP, maxHead)
}
