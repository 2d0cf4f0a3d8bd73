package sip_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/evid/evid/source/sip"
)

// Whatever comes is handled or counted, once; what is handled can be read and answered; and
// cutting a stream into messages finds the same end however it comes in.
func FuzzMessage(f *testing.F) {
	files, err := filepath.Glob("testdata/torture/*.dat")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(request("bob", "fuzz")))
	f.Add([]byte(invite))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		method, reply, stats := sip.Treat(data)
		if n := stats.Requests + stats.ACKs + stats.Replies + stats.Malformed; n != 1 {
			t.Errorf("counted %d times: %+v", n, stats)
		}
		if stats.Requests == 1 && method != "ACK" && stats.Replied != 1 {
			t.Error("a request is not answered")
		}
		if !bytes.Equal(data, before) {
			t.Error("the message was changed")
		}
		if reply != "" {
			if size, err := sip.Frame([]byte(reply), 0); err != nil || size != len(reply) {
				t.Errorf("the reply %q has %d bytes, want %d: %v", reply, size, len(reply), err)
			}
		}
		readAll(data)
		checkFrame(t, data)
	})
}

// readAll asks a request for all that it can tell.
func readAll(data []byte) {
	r, err := sip.ParseRequest(data, anyone, sip.UDP)
	if err != nil {
		return
	}
	for _, a := range []sip.Address{r.URI(), r.From(), r.To()} {
		_, _ = a.User(), a.Domain()
	}
	for _, index := range []int{0, 1, -1, -2} {
		_, _ = r.Header("Via", index)
		_, _ = r.Contact(index)
	}
	_, _ = r.HasBody(""), r.HasBody("application/sdp")
}

func checkFrame(t *testing.T, data []byte) {
	whole, err := sip.Frame(data, 0)
	if err != nil || whole == 0 {
		return
	}
	for at := range data {
		size, err := sip.Frame(data[:at+1], at)
		if err != nil {
			t.Fatalf("error %v after %d bytes", err, at+1)
		}
		if size != 0 {
			if size != whole {
				t.Fatalf("size %d after %d bytes, want %d", size, at+1, whole)
			}
			return
		}
	}
}
