package tcp

import (
	"errors"
	"io"
	"syscall"
)

// ErrStale is the error of a call for which a connection is of no use any more: its
// end has come, or something that would be taken for the reply.
var ErrStale = errors.New("something came over the connection that was not asked for")

// A Hint is what is known of a server. The zero value is nothing.
type Hint struct {
	Quick bool // it answers soon: its calls may wait in the kernel
	Parts bool // its replies come in parts: it may wait for the acknowledgement of the first
}

// Exchange writes the request and waits for the first bytes that come back, which it
// reads into reply. If the request could not be written, but something came back, that
// is no error: a server may refuse a request before its end.
func Exchange(conn io.ReadWriter, request, reply []byte) (int, error) {
	_, err := conn.Write(request)
	return answer(conn, reply, err)
}

// answer reads what came back for a request.
func answer(conn io.Reader, reply []byte, errWrite error) (int, error) {
	n, err := conn.Read(reply)
	if n == 0 && errWrite != nil {
		err = errWrite
	}
	return n, err
}

// IsStale reports whether something has come over a socket: bytes, an error or the end.
func IsStale(fd uintptr) bool {
	var buf [1]byte
	_, _, err := syscall.Recvfrom(int(fd), buf[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err != syscall.EAGAIN && err != syscall.EINTR
}
