package xmlrpc

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"sync/atomic"

	"github.com/evid/evid"
)

// Transports are the two schemes of the module and what they have in common.
type Transports struct {
	params   Params
	tls      *tls.Config
	replaced atomic.Uint64
}

// New returns the transports for the schemes xmlrpc and xmlrpcs. It reads the
// certificate files that params name.
//
// An event is Delivered by a reply with a 2xx status that carries no fault. It
// is rejected by a fault, unless retry_faults lists its code, and by a status
// that blames the request; other replies, no reply, and no connection ask for
// another attempt, and 410 ends the subscription. With confirm=0 no reply is
// awaited.
func New(params Params) (*Transports, error) {
	t := &Transports{params: params, tls: &tls.Config{MinVersion: tls.VersionTLS12}}
	if params.TLSCA != "" {
		pem, err := os.ReadFile(params.TLSCA)
		if err != nil {
			return nil, fmt.Errorf("tls_ca: %w", err)
		}
		t.tls.RootCAs = x509.NewCertPool()
		if !t.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls_ca: read %s: expected certificates in PEM form", params.TLSCA)
		}
	}
	if params.TLSCert != "" || params.TLSKey != "" {
		cert, err := tls.LoadX509KeyPair(params.TLSCert, params.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("tls_cert and tls_key: %w", err)
		}
		t.tls.Certificates = []tls.Certificate{cert}
	}
	return t, nil
}

// Schemes returns the transports: for xmlrpc and for xmlrpcs.
func (t *Transports) Schemes() []evid.Transport {
	return []evid.Transport{&transport{t, "xmlrpc"}, &transport{t, "xmlrpcs"}}
}

// Replaced counts the characters of events that XML cannot hold; each was sent
// as U+FFFD.
func (t *Transports) Replaced() uint64 { return t.replaced.Load() }

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
func (t *transport) Lane(s evid.Socket) string { return s.(*socket).lane }

// Open implements [evid.Transport].
func (t *transport) Open(s evid.Socket) evid.Lane {
	to := s.(*socket)
	l := &lane{
		address:  net.JoinHostPort(to.host, to.port),
		slots:    make(chan struct{}, maxDraining),
		closing:  make(chan struct{}),
		draining: make(map[net.Conn]struct{}),
	}
	if to.tls {
		l.tls = t.tls.Clone()
		l.tls.ServerName = to.host
		l.tls.InsecureSkipVerify = !to.opts.TLSVerify
	}
	return l
}
