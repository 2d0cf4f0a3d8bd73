package jetstream_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/jetstream"
)

// An authority signs certificates into files.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.issue(t, "ca")
	return a
}

// issue writes NAME.pem and NAME.key.
func (a *authority) issue(t *testing.T, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: a.cert == nil, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for ext, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "EC PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(a.file(name+ext), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func TestTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.issue(t, "server")
	a.issue(t, "client")
	pair, err := tls.LoadX509KeyPair(a.file("server.pem"), a.file("server.key"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	n := startNATS(t, &server.Options{
		StoreDir: t.TempDir(), TLS: true, TLSVerify: true, TLSTimeout: 5,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert},
	})
	p := inNATS("tls://"+n.Addr().String(), "evid")
	p.CAFile, p.CertFile, p.KeyFile = a.file("ca.pem"), a.file("client.pem"), a.file("client.key")
	s := open(t, p)
	appendTo(t, s, queue.EventLog, 0, "one")
	s.Close()
	for _, test := range []struct {
		change func(p *jetstream.Params)
		want   string
	}{
		{func(p *jetstream.Params) { p.CAFile = "" }, "certificate signed by unknown authority"},
		{func(p *jetstream.Params) { p.CertFile, p.KeyFile = "", "" }, "connect: "},
		{func(p *jetstream.Params) { p.KeyFile = "" }, "expected nats_cert_file and nats_key_file together"},
		{func(p *jetstream.Params) { p.CAFile = a.file("client.key") }, "read nats_ca_file: expected certificates in PEM"},
		{func(p *jetstream.Params) { p.CAFile = a.file("none") }, "read nats_ca_file: open "},
		{func(p *jetstream.Params) { p.KeyFile = a.file("ca.key") }, "read nats_cert_file and nats_key_file: "},
	} {
		q := p
		test.change(&q)
		if _, err := jetstream.Open(q, nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	operator, err := nkeys.CreateOperator()
	must(err)
	account, err := nkeys.CreateAccount()
	must(err)
	user, err := nkeys.CreateUser()
	must(err)
	public := func(k nkeys.KeyPair) string {
		key, err := k.PublicKey()
		must(err)
		return key
	}
	operatorClaims := jwt.NewOperatorClaims(public(operator))
	_, err = operatorClaims.Encode(operator)
	must(err)
	accountClaims := jwt.NewAccountClaims(public(account))
	accountClaims.Limits.JetStreamLimits = jwt.JetStreamLimits{DiskStorage: -1, MemoryStorage: -1, Streams: -1, Consumer: -1}
	accountJWT, err := accountClaims.Encode(operator)
	must(err)
	userJWT, err := jwt.NewUserClaims(public(user)).Encode(account)
	must(err)
	system, err := nkeys.CreateAccount()
	must(err)
	systemJWT, err := jwt.NewAccountClaims(public(system)).Encode(operator)
	must(err)
	resolver := &server.MemAccResolver{}
	must(resolver.Store(public(account), accountJWT))
	must(resolver.Store(public(system), systemJWT))
	n := startNATS(t, &server.Options{
		StoreDir: t.TempDir(), TrustedOperators: []*jwt.OperatorClaims{operatorClaims},
		SystemAccount: public(system), AccountResolver: resolver,
	})
	seed, err := user.Seed()
	must(err)
	creds, err := jwt.FormatUserConfig(userJWT, seed)
	must(err)
	file := filepath.Join(t.TempDir(), "evid.creds")
	must(os.WriteFile(file, creds, 0o600))

	p := inNATS(n.ClientURL(), "evid")
	p.Creds = file
	s := open(t, p)
	appendTo(t, s, queue.EventLog, 0, "one")
	for _, test := range []struct{ creds, want string }{
		{"", "Authorization Violation"},
		{file + ".none", "read nats_creds: open "},
	} {
		p.Creds = test.creds
		if _, err := jetstream.Open(p, nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
}
