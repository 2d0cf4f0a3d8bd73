package httpd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/evid/evid/mi"
	"github.com/evid/evid/modparam"
)

// Limits besides those of [Params].
const (
	headerTimeout = 10 * time.Second // for all headers of a request
	writeTimeout  = 30 * time.Second // for a client to read a reply
	maxHeader     = 16 << 10         // bytes, about
	maxBody       = 1 << 20          // bytes
)

// A Server is MI over HTTP. [New] makes one.
type Server struct {
	http http.Server
	addr string
	path string // of MI: "/mi"
	log  *slog.Logger

	listener net.Listener
	serving  sync.WaitGroup // the goroutine that accepts connections
	conns    *connections
	hangUp   context.CancelFunc
}

// New returns a server of these commands that does not listen yet. The error
// names the parameter that cannot be so.
func New(params Params, table *mi.Table, log *slog.Logger) (*Server, error) {
	ip, err := parseIP(params.IP)
	if err != nil {
		return nil, modparam.Wrong(fmt.Errorf("ip: %w", err), "ip")
	}
	tlsConfig, err := loadTLS(params)
	if err != nil {
		return nil, err
	}
	if !ip.IsLoopback() && params.AuthToken == "" && params.TLSCA == "" {
		return nil, modparam.Wrong(fmt.Errorf("ip: listening on %s, beyond loopback, lets others control this daemon: "+
			"set auth_token, or tls_cert_file, tls_key_file and tls_ca_file, or use ip 127.0.0.1", ip), "ip")
	}
	if params.ConnTimeout < 1 || params.Root == "" {
		return nil, errors.New("expected a conn_timeout above 0 and a root")
	}
	idle := time.Duration(params.ConnTimeout) * time.Second
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		addr:   net.JoinHostPort(params.IP, strconv.Itoa(params.Port)),
		path:   "/" + params.Root,
		log:    log,
		conns:  newConnections(),
		hangUp: cancel,
	}
	s.http = http.Server{
		Handler:           newHandler(params, table, s.conns, log),
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: min(headerTimeout, idle),
		ReadTimeout:       idle,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idle,
		MaxHeaderBytes:    maxHeader,
		ConnState:         s.conns.changed,
		ConnContext:       s.conns.remember,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		Protocols:         new(http.Protocols),
	}
	s.http.Protocols.SetHTTP1(true)
	return s, nil
}

// loadTLS returns nil if TLS is not configured.
func loadTLS(params Params) (*tls.Config, error) {
	switch {
	case params.TLSCert == "" && params.TLSKey == "" && params.TLSCA == "":
		return nil, nil
	case params.TLSCert == "" || params.TLSKey == "":
		return nil, modparam.Wrong(errors.New("expected both tls_cert_file and tls_key_file"), "tls_cert_file", "tls_key_file", "tls_ca_file")
	}
	cert, err := tls.LoadX509KeyPair(params.TLSCert, params.TLSKey)
	if err != nil {
		return nil, modparam.Wrong(fmt.Errorf("tls_cert_file and tls_key_file: %w", err), "tls_cert_file")
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if params.TLSCA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(params.TLSCA)
	if err != nil {
		return nil, modparam.Wrong(fmt.Errorf("tls_ca_file: %w", err), "tls_ca_file")
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, modparam.Wrong(fmt.Errorf("tls_ca_file: expected certificates in PEM in %s", params.TLSCA), "tls_ca_file")
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	return config, nil
}

// Start listens and serves until [Server.Stop].
func (s *Server) Start() error {
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		return fmt.Errorf("serve MI over HTTP: %w: set ip and port of module httpd to what is free", err)
	}
	s.listener = listener
	s.serving.Go(func() {
		if err := s.serve(); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("serve MI over HTTP", "addr", s.addr, "err", err)
		}
	})
	return nil
}

func (s *Server) serve() error {
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(s.listener, "", "")
	}
	return s.http.Serve(s.listener)
}

// URL is where MI is reached, after [Server.Start].
func (s *Server) URL() string {
	scheme := "http"
	if s.http.TLSConfig != nil {
		scheme = "https"
	}
	return scheme + "://" + s.listener.Addr().String() + s.path
}

// Addr returns the address that the server listens on, after [Server.Start].
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Stop waits for the commands that are being executed and their replies, until
// ctx is done; then it cuts them short. Requests that have not come in as a whole
// are not waited for. When it returns, nothing of the server runs. The error says
// that requests were cut short.
func (s *Server) Stop(ctx context.Context) error {
	s.conns.stop()
	err := s.http.Shutdown(ctx)
	s.hangUp()
	if err != nil {
		err = fmt.Errorf("stop MI over HTTP: requests were cut short: %w", err)
		_ = s.http.Close() // Shutdown has closed the listener
	}
	s.serving.Wait()
	s.conns.wait()
	return err
}
