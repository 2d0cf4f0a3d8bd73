package jetstream

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/evid/evid/modparam"
)

// Params say where a [Store] keeps its journals, and how safely. [DefaultParams]
// returns the defaults.
type Params struct {
	Dir           string        // directory of the embedded server; empty: see [Params.Directory]
	Sync          string        // SyncAlways, SyncNever, or how often ("1s"); the embedded server's
	CommitTimeout time.Duration // that an append may take, and everything else that is asked of the server
	URL           string        // of an external NATS, or several with commas between; empty: the embedded one
	Creds         string        // file with the credentials for it
	CAFile        string        // file with the authorities that its certificate must come from, PEM
	CertFile      string        // file with the certificate that is shown to it, PEM
	KeyFile       string        // file with the key of that certificate, PEM
	Replicas      int           // servers of it that keep each entry; 0: 3 if it is a cluster, else 1
	Prefix        string        // of the names of the streams

	noReserve bool // it is not written to
}

// The words for Params.Sync.
const (
	// SyncAlways has each entry on the disk before it is acknowledged: it survives that
	// the machine loses its power.
	SyncAlways = "always"
	// SyncNever leaves the disk to the operating system: an entry survives that the
	// process is killed, not that the machine stops.
	SyncNever = "never"
)

const (
	shortestSync = 10 * time.Millisecond
	longestSync  = time.Hour
	// longestCommit is below dedupeWindow, in which an append may be tried again.
	longestCommit = 20 * time.Second
)

// DefaultParams returns what holds for parameters that are not set.
func DefaultParams() Params {
	return Params{Sync: SyncAlways, CommitTimeout: 5 * time.Second, Prefix: "evid"}
}

// Modparams lists the parameters for the script.
func (p *Params) Modparams() []modparam.Param {
	return []modparam.Param{
		{
			Name: "dir", Value: modparam.String(&p.Dir),
			Usage: "directory that the queue is kept in; default $STATE_DIRECTORY, or evid in the user's state directory",
		},
		{
			Name: "sync", Value: modparam.Func(modparam.Text, func() string { return p.Sync }, p.setSync),
			Usage: "when what is kept goes to the disk: always, before it is acknowledged; never; or how often (\"1s\")",
		},
		{
			Name: "commit_timeout", Value: modparam.Duration(&p.CommitTimeout, 100*time.Millisecond, longestCommit),
			Usage: "time that keeping an event may take",
		},
		{
			Name: "nats_url", Value: modparam.Func(modparam.Text, func() string { return redact(p.URL) }, p.setURL),
			Usage: "keep the queue in this NATS (nats://host:port or tls://host:port), not in dir",
		},
		{
			Name: "nats_creds", Value: modparam.String(&p.Creds),
			Usage: "file with the credentials for nats_url",
		},
		{
			Name: "nats_ca_file", Value: modparam.String(&p.CAFile),
			Usage: "file with the authorities that the certificate of nats_url must come from, PEM",
		},
		{
			Name: "nats_cert_file", Value: modparam.String(&p.CertFile),
			Usage: "file with the certificate to show to nats_url, PEM",
		},
		{
			Name: "nats_key_file", Value: modparam.String(&p.KeyFile),
			Usage: "file with the key of nats_cert_file, PEM",
		},
		{
			Name: "nats_replicas", Value: modparam.Int(&p.Replicas, 0, 5),
			Usage: "servers of nats_url that keep each event; 0 is 3 in a cluster and 1 elsewhere",
		},
		{
			Name: "nats_prefix", Value: modparam.Func(modparam.Text, func() string { return p.Prefix }, p.setPrefix),
			Usage: "what the names of the streams in nats_url begin with",
		},
	}
}

func (p *Params) setSync(text string) error {
	if _, _, err := parseSync(text); err != nil {
		return err
	}
	p.Sync = text
	return nil
}

// parseSync returns whether the server syncs always, and else how often.
func parseSync(text string) (always bool, interval time.Duration, err error) {
	switch text {
	case SyncAlways:
		return true, 0, nil
	case SyncNever:
		// The server has no word for never.
		return false, 10 * 365 * 24 * time.Hour, nil
	}
	interval, err = time.ParseDuration(text)
	if err != nil || interval < shortestSync || interval > longestSync {
		return false, 0, fmt.Errorf("expected %s, %s, or a time from %v to %v such as 1s, got %q",
			SyncAlways, SyncNever, shortestSync, longestSync, text)
	}
	return false, interval, nil
}

func (p *Params) setURL(text string) error {
	if err := checkURL(text); err != nil {
		return err
	}
	p.URL = text
	return nil
}

// checkURL keeps passwords out of its error.
func checkURL(text string) error {
	for one := range strings.SplitSeq(text, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Host == "" || u.Scheme != "nats" && u.Scheme != "tls" {
			return fmt.Errorf("expected nats://host:port or tls://host:port, got %q", redact(one))
		}
	}
	return nil
}

// redact returns URLs without what comes before the @: no password, and no token, gets
// into a log.
func redact(urls string) string {
	parts := strings.Split(urls, ",")
	for i, one := range parts {
		head, tail, ok := strings.Cut(one, "://")
		if !ok {
			head, tail = "", one
		}
		if at := strings.LastIndexByte(tail, '@'); at >= 0 {
			tail = "xxxxx" + tail[at:]
		}
		if ok {
			tail = head + "://" + tail
		}
		parts[i] = tail
	}
	return strings.Join(parts, ",")
}

func (p *Params) setPrefix(text string) error {
	if err := checkPrefix(text); err != nil {
		return err
	}
	p.Prefix = text
	return nil
}

func checkPrefix(text string) error {
	plain := func(r rune) bool {
		return r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if text == "" || len(text) > 64 || strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return fmt.Errorf("expected up to 64 letters, digits, - and _, got %q", text)
	}
	return nil
}

// Directory is where the embedded server keeps its files: Dir, else $STATE_DIRECTORY,
// which systemd sets, else evid in the user's state directory.
func (p *Params) Directory() (string, error) {
	if p.Dir != "" {
		return p.Dir, nil
	}
	// systemd puts a colon between several.
	if dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); dir != "" {
		return dir, nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "evid"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find a directory for the queue: expected dir, $STATE_DIRECTORY, $XDG_STATE_HOME or $HOME to be set: %w", err)
	}
	return filepath.Join(home, ".local", "state", "evid"), nil
}

// check says what is wrong with parameters that did not come through Modparams.
func (p *Params) check() error {
	if p.URL != "" {
		if err := checkURL(p.URL); err != nil {
			return err
		}
	}
	if p.CommitTimeout <= 0 || p.CommitTimeout > longestCommit {
		return fmt.Errorf("commit_timeout: expected a time up to %v, got %v", longestCommit, p.CommitTimeout)
	}
	if p.Replicas < 0 || p.Replicas > 5 {
		return fmt.Errorf("nats_replicas: expected 0 to 5, got %d", p.Replicas)
	}
	if (p.CertFile == "") != (p.KeyFile == "") {
		return fmt.Errorf("expected nats_cert_file and nats_key_file together, got %q and %q", p.CertFile, p.KeyFile)
	}
	if _, _, err := parseSync(p.Sync); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if err := checkPrefix(p.Prefix); err != nil {
		return fmt.Errorf("nats_prefix: %w", err)
	}
	return nil
}
