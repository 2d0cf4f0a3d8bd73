package httpd_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evid/evid/mi/httpd"
)

func TestWhoIsRefused(t *testing.T) {
	const token = "s3cret"
	for _, test := range []struct {
		name   string
		token  string
		header []string
		status int
		reason string
	}{
		{"no token needed", "", nil, 200, ""},
		{"web page", "", []string{"Origin", "http://127.0.0.1:8888"}, 403, "Origin"},
		{"web page with null origin", "", []string{"Origin", "null"}, 403, "Origin"},
		{"web page with empty origin", "", []string{"Origin", ""}, 403, "Origin"},
		{"web page with token", token, []string{"Origin", "http://x", "Authorization", "Bearer " + token}, 403, "Origin"},
		{"token", token, []string{"Authorization", "Bearer " + token}, 200, ""},
		{"scheme in small letters", token, []string{"Authorization", "bearer " + token}, 200, ""},
		{"no token", token, nil, 401, "Authorization: Bearer"},
		{"no token after the scheme", token, []string{"Authorization", "Bearer"}, 401, "Authorization: Bearer"},
		{"other token", token, []string{"Authorization", "Bearer " + token + "x"}, 401, "Authorization: Bearer"},
		{"other scheme", token, []string{"Authorization", "Basic " + token}, 401, "Authorization: Bearer"},
		{"text", "", []string{"Content-Type", "Text/Plain;charset=utf-8"}, 400, "--json"},
		{"form", "", []string{"Content-Type", "application/x-www-form-urlencoded"}, 400, "--json"},
		{"multipart", "", []string{"Content-Type", "multipart/mixed"}, 400, "--json"},
		{"no type", "", []string{"Content-Type", ""}, 200, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			params := httpd.DefaultParams()
			params.AuthToken = test.token
			server := startServer(t, params, newServerTable(t))
			resp, body := post(t, http.DefaultClient, "http://"+server.Addr().String()+"/mi", whichRequest, test.header...)
			if resp.StatusCode != test.status || !strings.Contains(body, test.reason) || strings.Contains(body, token) {
				t.Errorf("got %d %s, want %d and %q", resp.StatusCode, body, test.status, test.reason)
			}
			if challenge := resp.Header.Get("WWW-Authenticate"); (challenge == "Bearer") != (test.status == 401) {
				t.Errorf("WWW-Authenticate is %q", challenge)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	cert, key := certificate(t, nil)
	certFile, keyFile := write(t, "cert.pem", cert), write(t, "key.pem", key)
	for _, test := range []struct {
		name   string
		change func(*httpd.Params)
		want   string
	}{
		{"no ip", func(p *httpd.Params) { p.IP = "example.org" }, `ip: expected an IP address, got "example.org"`},
		{"beyond loopback", func(p *httpd.Params) { p.IP = "0.0.0.0" }, "set auth_token"},
		{"beyond loopback, IPv6", func(p *httpd.Params) { p.IP = "::" }, "set auth_token"},
		{"beyond loopback, TLS only", func(p *httpd.Params) { p.IP, p.TLSCert, p.TLSKey = "::", certFile, keyFile }, "tls_ca_file"},
		{"no key", func(p *httpd.Params) { p.TLSCert = certFile }, "both tls_cert_file and tls_key_file"},
		{"authority only", func(p *httpd.Params) { p.TLSCA = certFile }, "both tls_cert_file and tls_key_file"},
		{"zero value", func(p *httpd.Params) { *p = httpd.Params{IP: "127.0.0.1"} }, "conn_timeout"},
		{"no such file", func(p *httpd.Params) { p.TLSCert, p.TLSKey = "nowhere.pem", keyFile }, "nowhere.pem"},
		{"key as authority", func(p *httpd.Params) { p.TLSCert, p.TLSKey, p.TLSCA = certFile, keyFile, keyFile }, "tls_ca_file: expected certificates"},
		{"no authority file", func(p *httpd.Params) { p.TLSCert, p.TLSKey, p.TLSCA = certFile, keyFile, "nowhere.pem" }, "tls_ca_file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			params := httpd.DefaultParams()
			test.change(&params)
			_, err := httpd.New(params, newServerTable(t), slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestBeyondLoopback(t *testing.T) {
	cert, key := certificate(t, nil)
	certFile, keyFile := write(t, "cert.pem", cert), write(t, "key.pem", key)
	for _, params := range []httpd.Params{
		{IP: "0.0.0.0", AuthToken: "x", Root: "mi", ConnTimeout: 1},
		{IP: "::", TLSCert: certFile, TLSKey: keyFile, TLSCA: certFile, Root: "mi", ConnTimeout: 1},
		{IP: "::1", Root: "mi", ConnTimeout: 1},
	} {
		if _, err := httpd.New(params, newServerTable(t), slog.New(slog.DiscardHandler)); err != nil {
			t.Error(err)
		}
	}
}

func TestClientCertificate(t *testing.T) {
	caPEM, caKeyPEM := certificate(t, nil)
	ca, err := tls.X509KeyPair(caPEM, caKeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := certificate(t, &ca)
	params := httpd.DefaultParams()
	params.TLSCert, params.TLSKey = write(t, "cert.pem", cert), write(t, "key.pem", key)
	params.TLSCA = write(t, "ca.pem", caPEM)
	server := startServer(t, params, newServerTable(t))
	url := "https://" + server.Addr().String() + "/mi"

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(caPEM)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	if resp, err := client.Post(url, "application/json", strings.NewReader(whichRequest)); err == nil {
		resp.Body.Close()
		t.Fatal("a client without certificate was served")
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}
	if resp, body := post(t, client, url, whichRequest); resp.StatusCode != http.StatusOK {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
}

// certificate returns a certificate for 127.0.0.1 and its key, both PEM, signed
// by ca or by itself.
func certificate(t *testing.T, ca *tls.Certificate) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "evid"},
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		BasicConstraintsValid: true,
		IsCA:                  ca == nil,
	}
	parent, signer := template, crypto.PrivateKey(private)
	if ca != nil {
		parent, signer = ca.Leaf, ca.PrivateKey
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, private.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	rawKey, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: rawKey})
}

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
