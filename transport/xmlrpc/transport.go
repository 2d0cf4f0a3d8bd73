package xmlrpc

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/tcp"
	"github.com/evid/evid/modparam"
)

// Transports are the two schemes of the module and what they have in common.
type Transports struct {
	params       Params
	defaults     *settings // of sockets without options
	tls          *tls.Config
	start        time.Time
	replaced     atomic.Uint64
	never        chan struct{} // is not closed
	destinations destinations
	buffers      bufferPool
	dialer       *tcp.Dialer
}

// New returns the transports for the schemes xmlrpc and xmlrpcs. It reads the
// certificate files that params name; what is wrong with these is a [*modparam.Error].
//
// An event is Delivered by a reply with a 2xx status that carries no fault. It
// is rejected by a fault, unless retry_faults lists its code, and by a status
// that blames the request; other replies, no reply, and no connection ask for
// another attempt, and 410 ends the subscription. With confirm=0 no reply is
// awaited.
func New(params Params) (*Transports, error) {
	t := &Transports{
		params: params,
		tls:    &tls.Config{MinVersion: tls.VersionTLS12},
		start:  time.Now(),
		never:  make(chan struct{}),
		dialer: tcp.NewDialer(),
	}
	if err := params.checkRetry(); err != nil {
		return nil, modparam.Wrong(err, "retry_min", "retry_max")
	}
	defaults, err := params.with("")
	if err != nil {
		return nil, err
	}
	t.defaults = newSettings(defaults, &t.replaced)
	if params.TLSCA != "" {
		pem, err := os.ReadFile(params.TLSCA)
		if err != nil {
			return nil, modparam.Wrong(fmt.Errorf("tls_ca: %w", err), "tls_ca")
		}
		t.tls.RootCAs = x509.NewCertPool()
		if !t.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, modparam.Wrong(fmt.Errorf("tls_ca: read %s: expected certificates in PEM form", params.TLSCA), "tls_ca")
		}
	}
	if params.TLSCert != "" || params.TLSKey != "" {
		cert, err := tls.LoadX509KeyPair(params.TLSCert, params.TLSKey)
		if err != nil {
			return nil, modparam.Wrong(fmt.Errorf("tls_cert and tls_key: %w", err), "tls_cert", "tls_key")
		}
		t.tls.Certificates = []tls.Certificate{cert}
	}
	return t, nil
}

// Schemes returns the transports: for xmlrpc and for xmlrpcs.
func (t *Transports) Schemes() []evid.Transport {
	return []evid.Transport{&transport{t, schemePlain}, &transport{t, schemeTLS}}
}

// Replaced counts the characters of events that XML cannot hold; each was written
// as U+FFFD.
func (t *Transports) Replaced() uint64 { return t.replaced.Load() }

// now is the time since New: it takes a third of the room of a time.Time.
func (t *Transports) now() time.Duration { return t.at(time.Now()) }

// at is the time of now for the clock.
func (t *Transports) at(clock time.Time) time.Duration { return clock.Sub(t.start) }

// A transport is one of the schemes.
type transport struct {
	*Transports
	scheme string
}

// Scheme implements [evid.Transport].
func (t *transport) Scheme() string { return t.scheme }

// Parse implements [evid.Transport].
func (t *transport) Parse(addr string) (evid.Socket, error) {
	s, err := t.parse(addr)
	if err != nil {
		return nil, err // not s: a nil *socket is no nil Socket
	}
	return s, nil
}

// Lane implements [evid.Transport].
func (t *transport) Lane(s evid.Socket) string { return s.(*socket).lane() }

// Open implements [evid.Transport].
func (t *transport) Open(s evid.Socket) evid.Lane {
	return &lane{dest: t.destinations.acquire(t.Transports, s.(*socket).destination())}
}
