package miclient

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func refused() error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
}

// TestPatient runs on a clock of its own.
func TestPatient(t *testing.T) {
	other := errors.New("no route to host")
	tests := []struct {
		name    string
		answers func(after time.Duration) error // of the network
		cancel  time.Duration                   // 0: never
		want    error
		takes   time.Duration
	}{
		{"listens", func(time.Duration) error { return nil }, 0, nil, 0},
		{"listens after a while", func(after time.Duration) error {
			if after < startTime/2 {
				return refused()
			}
			return nil
		}, 0, nil, startTime / 2},
		{"never listens", func(time.Duration) error { return refused() }, 0, syscall.ECONNREFUSED, startTime},
		{"other errors last", func(time.Duration) error { return other }, 0, other, 0},
		{"the caller gives up", func(time.Duration) error { return refused() }, startTime / 4, syscall.ECONNREFUSED, startTime / 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if test.cancel > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.cancel)
					defer cancel()
				}
				began := time.Now()
				_, err := patient(func(context.Context, string, string) (net.Conn, error) {
					return nil, test.answers(time.Since(began))
				})(ctx, "tcp", "127.0.0.1:8888")
				if !errors.Is(err, test.want) {
					t.Errorf("got error %v, want %v", err, test.want)
				}
				if took := time.Since(began); took < test.takes || took > test.takes+dialPause {
					t.Errorf("took %v, want %v", took, test.takes)
				}
			})
		})
	}
}

// TestCallWaitsForListener has a daemon that listens from the second attempt on.
func TestCallWaitsForListener(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"jsonrpc":"2.0","result":"OK","id":1}`))
	}))
	t.Cleanup(server.Close)
	attempts := 0
	c, err := newWithDialer(server.URL, "", func(ctx context.Context, network, addr string) (net.Conn, error) {
		if attempts++; attempts == 1 {
			return nil, refused()
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	result, err := c.Call(t.Context(), "uptime", nil)
	if string(result) != `"OK"` || err != nil || attempts != 2 {
		t.Errorf("got %s, %v after %d attempts", result, err, attempts)
	}
}
