package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// buildBench builds this program and evid, as they measure each other as processes.
func buildBench(t *testing.T) (bench, evid string) {
	t.Helper()
	newTestLab(t) // or nothing can be measured here
	dir := t.TempDir()
	bench, evid = filepath.Join(dir, "evid-bench"), filepath.Join(dir, "evid")
	for binary, source := range map[string]string{bench: ".", evid: "../cmd/evid"} {
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, source).CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", source, err, out)
		}
	}
	return bench, evid
}

// The rows about SIP and HEP have figures, and the memory of a flood stays as it is.
func TestSIP(t *testing.T) {
	bench, evid := buildBench(t)
	t.Run("rows", func(t *testing.T) {
		out, err := exec.CommandContext(t.Context(), bench, "-evid", evid, "-rounds", "1", "-time", "100ms", "-row", "SIP|HEP").CombinedOutput()
		if err != nil || strings.Count(string(out), "\n| ") != 1+5 || strings.Contains(string(out), "| – | a") {
			t.Errorf("got %v\n%s", err, out)
		}
	})
	t.Run("flood", func(t *testing.T) {
		out, err := exec.CommandContext(t.Context(), bench, "-evid", evid, "-flood", "10s").CombinedOutput()
		if err != nil {
			t.Errorf("got %v\n%s", err, out)
		}
		t.Logf("%s", out)
	})
}

// A message gets its number wherever it stands, and a packet its address.
func TestNumbered(t *testing.T) {
	m := newPacket()
	m.set(0xfedc)
	m.from(0xcb007101)
	if n := bytes.Count(m.data, []byte("000000000000fedc")); n != 2 {
		t.Errorf("the number stands %d times in %q", n, m.data)
	}
	if !bytes.Contains(m.data, []byte{0, 3, 0, 10, 203, 0, 113, 1}) {
		t.Errorf("the address is not in %q", m.data)
	}
}
