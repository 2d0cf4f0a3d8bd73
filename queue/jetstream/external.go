package jetstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/evid/evid/queue"
)

const (
	reconnectWait = 250 * time.Millisecond
	pingInterval  = 5 * time.Second
	// noPosition is the position of no entry.
	noPosition = 1 << 62
)

func (s *Store) openExternal() error {
	options, err := s.options()
	if err != nil {
		return err
	}
	l, err := newLink(s.names, s.run, s.patience, func() (*nats.Conn, error) {
		conn, err := nats.Connect(s.params.URL, options...)
		if err != nil {
			return nil, fmt.Errorf("connect: %w", hidePassword(err, s.params.URL))
		}
		return conn, nil
	})
	if err != nil {
		return err
	}
	if err := s.takeExternal(l); err != nil {
		l.close()
		return err
	}
	s.setLink(l)
	s.wg.Go(s.keepLease)
	return nil
}

// takeExternal gets the right to use the streams first, and looks at them then.
func (s *Store) takeExternal(l *link) error {
	l.replicas = s.params.Replicas
	if l.replicas == 0 {
		l.replicas = 1
		if l.write.ConnectedClusterName() != "" {
			l.replicas = 3
		}
	}
	if _, err := l.ensure(l.aliveConfig()); err != nil {
		return err
	}
	var err error
	if s.lease, err = takeLease(l, s.run, s.log, s.name); err != nil {
		return err
	}
	states, err := l.ensureStreams()
	if err != nil {
		s.lease.release(l)
		return err
	}
	for j := range queue.Journals {
		s.know(j, states[j].LastSeq)
	}
	return nil
}

// options are those of both connections.
func (s *Store) options() ([]nats.Option, error) {
	p := &s.params
	options := []nats.Option{
		nats.Name("evid"), nats.Timeout(s.patience), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait),
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(2), nats.IgnoreAuthErrorAbort(),
		// What is published while there is no connection is not sent later: an append that
		// was given up must not arrive by itself.
		nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			s.log.Warn("queue " + s.name + ": " + hidePassword(err, p.URL).Error())
		}),
	}
	if p.Creds != "" {
		if err := readable(p.Creds); err != nil {
			return nil, fmt.Errorf("read nats_creds: %w", err)
		}
		options = append(options, nats.UserCredentials(p.Creds))
	}
	if p.CAFile == "" && p.CertFile == "" {
		return options, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.CAFile != "" {
		pem, err := os.ReadFile(p.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read nats_ca_file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read nats_ca_file: expected certificates in PEM, %s has none", p.CAFile)
		}
	}
	if p.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(p.CertFile, p.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read nats_cert_file and nats_key_file: %w", err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return append(options, nats.Secure(config)), nil
}

func readable(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	return f.Close()
}

// hidePassword takes the URL out of an error, which may have been built from it.
func hidePassword(err error, url string) error {
	text := err.Error()
	for one := range strings.SplitSeq(url, ",") {
		one = strings.TrimSpace(one)
		if _, rest, ok := strings.Cut(one, "://"); ok {
			one = rest
		}
		if at := strings.LastIndexByte(one, '@'); at > 0 {
			text = strings.ReplaceAll(text, one[:at], "xxxxx")
		}
	}
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

// healExternal sees whether each stream has a leader that answers, and whether one takes
// something.
func (s *Store) healExternal() error {
	l, err := s.anyLink(time.Now())
	if err != nil {
		return err
	}
	if !l.write.IsConnected() {
		return errors.New("there is no connection to NATS")
	}
	for j, a := range l.appenders {
		// No entry can be the newest at this position: it is refused by whoever could take it.
		p := a.publish(noPosition, nil, askAgain, askAgain)
		if !isAPIError(p.err, server.JSStreamWrongLastSequenceErrF) {
			return fmt.Errorf("ask the leader of %s: %w", queue.Journal(j), p.err)
		}
	}
	return s.lease.beat(l)
}
