package sip

import (
	"bytes"
	"strconv"
	"strings"
)

// headersEnd is the empty line after the headers, with the line end before it.
const headersEnd = "\r\n\r\n"

var (
	errTooLarge = &malformed{messageTooLarge, "it is larger than 64 KiB"}
	errLength   = &malformed{badRequest, "expected one Content-Length, which says where the message ends"}
)

// frame finds the end of the message that data begins with. Size is 0 until the headers
// are there: then it is that of the whole message. Scanned is how much of data has been
// looked at without finding the end of the headers. After an error the end is unknown: the
// headers are data[:size], if they are there.
func frame(data []byte, scanned int) (size int, err error) {
	from := max(scanned-len(headersEnd)+1, 0)
	at := bytes.Index(data[from:], []byte(headersEnd))
	if at < 0 {
		if len(data) >= maxMessage {
			return 0, errTooLarge
		}
		return 0, nil
	}
	size = from + at + len(headersEnd)
	length, err := contentLength(data[:size])
	switch {
	case err != nil:
		return size, err
	case length > maxMessage-size:
		return size, errTooLarge
	}
	return size + length, nil
}

// contentLength finds the length of the body in the headers.
func contentLength(headers []byte) (int, error) {
	length := -1
	for line := range bytes.SplitSeq(headers, []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		name = bytes.Trim(name, blanks)
		if !bytes.EqualFold(name, []byte("Content-Length")) && !bytes.EqualFold(name, []byte("l")) {
			continue
		}
		n, err := strconv.ParseUint(strings.Trim(string(value), blanks), 10, 31)
		if err != nil || length >= 0 && int(n) != length {
			return 0, errLength
		}
		length = int(n)
	}
	if length < 0 {
		return 0, errLength
	}
	return length, nil
}
