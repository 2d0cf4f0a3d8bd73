package httpd

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/evid/evid/modparam"
)

// Params configure a [Server]. [DefaultParams] returns the defaults.
type Params struct {
	IP          string // to listen on; beyond loopback only with AuthToken or TLSCA
	Port        int    // 0: any that is free
	AuthToken   string // if not empty, requests need "Authorization: Bearer" and this
	TLSCert     string // file with the certificate, PEM; empty: no TLS
	TLSKey      string // file with its key, PEM
	TLSCA       string // if not empty, clients need a certificate of one in this file
	ConnTimeout int    // seconds that a connection may be silent
	Root        string // the path, without slashes around it
}

// DefaultParams returns what holds for parameters that are not set: as in
// OpenSIPS, but only loopback is listened on.
func DefaultParams() Params {
	return Params{IP: "127.0.0.1", Port: 8888, ConnTimeout: 30, Root: "mi"}
}

// HTTPD returns the parameters of module httpd.
func (p *Params) HTTPD() []modparam.Param {
	return []modparam.Param{
		{
			Name: "ip", Value: modparam.Func(modparam.Text, func() string { return p.IP }, p.setIP),
			Usage: "IP address to listen on; beyond loopback only with auth_token or tls_ca_file",
		},
		{
			Name: "port", Value: modparam.Int(&p.Port, 0, 65535),
			Usage: "port to listen on; 0 is any that is free",
		},
		{
			Name: "auth_token", Value: modparam.Func(modparam.Text, p.hiddenToken, p.setToken),
			Usage: "secret that requests must have in the header Authorization: Bearer",
		},
		{
			Name: "tls_cert_file", Value: modparam.String(&p.TLSCert),
			Usage: "file with the certificate of the server, PEM",
		},
		{
			Name: "tls_key_file", Value: modparam.String(&p.TLSKey),
			Usage: "file with the key of the certificate, PEM",
		},
		{
			Name: "tls_ca_file", Value: modparam.String(&p.TLSCA),
			Usage: "file with the authorities that client certificates must come from, PEM",
		},
		{
			Name: "conn_timeout", Value: modparam.Int(&p.ConnTimeout, 1, 3600),
			Usage: "seconds after which a silent connection is closed",
		},
	}
}

// MIHTTP returns the parameters of module mi_http.
func (p *Params) MIHTTP() []modparam.Param {
	return []modparam.Param{
		{
			Name: "root", Value: modparam.Func(modparam.Text, func() string { return p.Root }, p.setRoot),
			Usage: "path that MI is at",
		},
	}
}

func (p *Params) setIP(text string) error {
	if _, err := parseIP(text); err != nil {
		return err
	}
	p.IP = text
	return nil
}

func parseIP(text string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("expected an IP address, got %q", text)
	}
	return ip.Unmap(), nil
}

func (p *Params) setToken(text string) error {
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("expected printable ASCII characters without blanks")
	}
	p.AuthToken = text
	return nil
}

// hiddenToken keeps the secret out of what is printed.
func (p *Params) hiddenToken() string {
	if p.AuthToken == "" {
		return ""
	}
	return "(hidden)"
}

func (p *Params) setRoot(text string) error {
	root := strings.Trim(text, "/")
	if root == "" || strings.ContainsAny(root, "?#% \t\r\n") {
		return fmt.Errorf(`expected a path such as "mi", got %q`, text)
	}
	p.Root = root
	return nil
}
