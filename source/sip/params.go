package sip

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/evid/evid/modparam"
)

// Params configure a [Server]. [DefaultParams] returns the defaults.
type Params struct {
	Certificate string // file with the certificate of TLS sockets, PEM
	PrivateKey  string // file with its key, PEM

	MaxConnections int           // open ones over TCP and TLS together; more are closed at once
	IdleTimeout    time.Duration // after which a connection without a message is closed
	MessageTimeout time.Duration // for a message to come in from its first byte on, and for a TLS handshake
	SendTimeout    time.Duration // for a peer to take a reply over TCP or TLS

	// MaxHandlers is how many requests of one UDP socket are handled at a time. Each needs
	// 64 KiB. What comes beyond them is dropped.
	MaxHandlers int
}

// DefaultParams returns what holds for parameters that are not set. Where OpenSIPS has the
// parameter, it has the same default, but for the time to send: OpenSIPS, in which others
// wait meanwhile, has 100 ms.
func DefaultParams() Params {
	return Params{
		MaxConnections: 2048,
		IdleTimeout:    120 * time.Second,
		MessageTimeout: 4 * time.Second,
		SendTimeout:    2 * time.Second,
		MaxHandlers:    256,
	}
}

// Globals lists the parameters that a script sets as globals.
func (p *Params) Globals() []modparam.Param {
	return []modparam.Param{
		{
			Name: "tcp_max_connections", Value: modparam.Int(&p.MaxConnections, 1, 1<<20),
			Usage: "open SIP connections over TCP and TLS, at most",
		},
		{
			Name: "tcp_connection_lifetime", Value: seconds(&p.IdleTimeout),
			Usage: "seconds after which a SIP connection without a message is closed",
		},
		{
			Name: "tcp_max_msg_time", Value: seconds(&p.MessageTimeout),
			Usage: "seconds that a SIP message may take to come in over TCP or TLS",
		},
	}
}

// ProtoTCP lists the parameters of module proto_tcp.
func (p *Params) ProtoTCP() []modparam.Param {
	return []modparam.Param{{
		Name: "tcp_send_timeout", Value: modparam.Duration(&p.SendTimeout, time.Millisecond, time.Minute),
		Usage: "milliseconds for a peer to take a reply over TCP or TLS",
	}}
}

// TLSMgm lists the parameters of module tls_mgm. There is one certificate, for all TLS
// sockets: OpenSIPS' domains, and with them certificates of clients, are not here.
func (p *Params) TLSMgm() []modparam.Param {
	return []modparam.Param{
		{
			Name: "certificate", Value: file(&p.Certificate),
			Usage: "file with the certificate of TLS sockets, PEM",
		},
		{
			Name: "private_key", Value: file(&p.PrivateKey),
			Usage: "file with the key of the certificate, PEM",
		},
	}
}

// file is the name of a file, without OpenSIPS' [domain] before it.
func file(p *string) modparam.Value {
	return modparam.Func(modparam.Text, func() string { return *p }, func(text string) error {
		if text == "" || text[0] == '[' {
			return fmt.Errorf("expected the name of a file, without a [domain], got %q", text)
		}
		*p = text
		return nil
	})
}

// seconds is a time from a second to a day that is written in seconds.
func seconds(p *time.Duration) modparam.Value {
	get := func() string { return fmt.Sprint(int(p.Seconds())) }
	return modparam.Func(modparam.Integer, get, func(text string) error {
		var n int
		if err := modparam.Int(&n, 1, 86400).Set(text); err != nil {
			return err
		}
		*p = time.Duration(n) * time.Second
		return nil
	})
}

func (p *Params) check() error {
	if p.MaxConnections < 1 || p.MaxHandlers < 1 || p.IdleTimeout <= 0 || p.MessageTimeout <= 0 || p.SendTimeout <= 0 {
		return errors.New("sip: expected limits and times above 0")
	}
	return nil
}

func (p *Params) loadTLS() (*tls.Config, error) {
	if p.Certificate == "" || p.PrivateKey == "" {
		return nil, errors.New("a tls socket needs a certificate and its key: set certificate and private_key of module tls_mgm")
	}
	cert, err := tls.LoadX509KeyPair(p.Certificate, p.PrivateKey)
	if err != nil {
		return nil, modparam.Wrong(fmt.Errorf("certificate and private_key: %w", err), "certificate", "private_key")
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, nil
}
