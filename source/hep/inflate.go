package hep

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
)

// An inflater decompresses payloads, with the memory of the one before.
type inflater struct {
	in   bytes.Reader
	gzip gzip.Reader
	zlib io.ReadCloser // nil: not used yet
	out  bytes.Buffer
}

var (
	errCompression = errors.New("decompress payload: expected gzip or zlib")
	errInflated    = fmt.Errorf("decompress payload: expected at most %d octets, got more", MaxPayload)
)

// all decompresses gzip or zlib. The result is valid until the next call.
func (f *inflater) all(compressed []byte) ([]byte, error) {
	r, err := f.open(compressed)
	if err != nil {
		return nil, err
	}
	f.out.Reset()
	n, err := f.out.ReadFrom(io.LimitReader(r, MaxPayload+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("decompress payload: %w", err)
	case n > MaxPayload:
		return nil, errInflated
	}
	return f.out.Bytes(), nil
}

func (f *inflater) open(compressed []byte) (io.Reader, error) {
	f.in.Reset(compressed)
	switch {
	case isGzip(compressed):
		if err := f.gzip.Reset(&f.in); err != nil {
			return nil, fmt.Errorf("decompress payload: %w", err)
		}
		f.gzip.Multistream(false)
		return &f.gzip, nil
	case isZlib(compressed):
		if f.zlib == nil {
			r, err := zlib.NewReader(&f.in)
			if err != nil {
				return nil, fmt.Errorf("decompress payload: %w", err)
			}
			f.zlib = r
			return r, nil
		}
		if err := f.zlib.(zlib.Resetter).Reset(&f.in, nil); err != nil {
			return nil, fmt.Errorf("decompress payload: %w", err)
		}
		return f.zlib, nil
	default:
		return nil, errCompression
	}
}

// isGzip reports whether this starts as RFC 1952, section 2.3.1 has it.
func isGzip(data []byte) bool { return len(data) >= 2 && data[0] == 0x1f && data[1] == 0x8b }

// isZlib reports whether this starts as RFC 1950, section 2.2 has it: deflate, and a check.
func isZlib(data []byte) bool {
	return len(data) >= 2 && data[0]&0x0f == 8 && (uint(data[0])<<8|uint(data[1]))%31 == 0
}
