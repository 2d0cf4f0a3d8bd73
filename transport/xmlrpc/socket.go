package xmlrpc

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/evid/evid"
)

const (
	schemePlain  = "xmlrpc"
	schemeTLS    = "xmlrpcs"
	defaultPath  = "/RPC2"
	maxSocketLen = 2048 // bytes, with all options
)

// A socket is one subscriber: host ':' port ['/' path] ':' method {';' option '=' value}.
// There can be very many: what can be made of something else is.
type socket struct {
	opts *settings
	key  string // scheme ':' host ':' port path ':' method, the host in lower case

	// Where in the key these end.
	hostEnd, portEnd, pathEnd uint16
}

// Key implements [evid.Socket].
func (s *socket) Key() string { return s.key }

// String implements [evid.Socket]. The path is in it only if it is not the
// default.
func (s *socket) String() string {
	path := s.path()
	if path == defaultPath {
		path = ""
	}
	text := s.scheme() + ":" + s.host() + ":" + s.port() + path + ":" + s.method()
	if s.opts.text != "" {
		text += ";" + s.opts.text
	}
	return text
}

// Policy implements [evid.PolicySocket].
func (s *socket) Policy() evid.Policy { return s.opts.Policy }

func (s *socket) port() string   { return s.key[s.hostEnd+1 : s.portEnd] }
func (s *socket) path() string   { return s.key[s.portEnd:s.pathEnd] }
func (s *socket) method() string { return s.key[s.pathEnd+1:] }

func (s *socket) scheme() string {
	scheme, _, _ := strings.Cut(s.key, ":")
	return scheme
}

func (s *socket) isTLS() bool { return s.scheme() == schemeTLS }

// host is the host as it was written, an IPv6 address in brackets.
func (s *socket) host() string {
	if s.opts.host != "" {
		return s.opts.host
	}
	return s.key[len(s.scheme())+1 : s.hostEnd]
}

// dialHost is the host without brackets.
func (s *socket) dialHost() string { return strings.Trim(s.host(), "[]") }

// address is where to dial, as error texts name it.
func (s *socket) address() string { return net.JoinHostPort(s.dialHost(), s.port()) }

// destination names the server: what is learned of it holds for all with this
// name.
func (s *socket) destination() string { return s.key[:s.portEnd] }

// lane names the lane: the destination, and what a connection depends on where it
// is not the default.
func (s *socket) lane() string {
	name := s.destination()
	if !s.opts.Keepalive {
		name += " keepalive=0"
	}
	if !s.opts.TLSVerify {
		name += " verify=0"
	}
	return name
}

// address is a socket's text, taken apart.
type address struct {
	host, port, path, method, options string
}

// hostText is the host as it is written.
func (a address) hostText() string {
	if strings.Contains(a.host, ":") {
		return "[" + a.host + "]"
	}
	return a.host
}

// splitAddress takes apart what follows "xmlrpc:". The method begins after the
// first colon behind port and path (captures xmlrpc-sockets/path-method-colon and
// method-slash), so it can hold colons and slashes.
func splitAddress(text string) (address, error) {
	var a address
	host, rest, err := splitHost(text)
	if err != nil {
		return a, err
	}
	a.host = host
	if i := strings.IndexAny(rest, ":/"); i < 0 {
		a.port = rest
	} else {
		a.port, rest = rest[:i], rest[i:]
		if rest[0] == '/' {
			a.path, rest, _ = strings.Cut(rest, ":")
		} else {
			rest = rest[1:]
		}
		var ok bool
		if a.method, a.options, ok = strings.Cut(rest, ";"); ok && a.options == "" {
			return a, errors.New("options: expected ;name=value")
		}
	}
	if err := checkPort(a.port); err != nil {
		return a, err
	}
	if a.path == "" {
		a.path = defaultPath
	}
	if strings.ContainsFunc(a.path, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return a, fmt.Errorf("path %q: expected printable ASCII without blanks", a.path)
	}
	return a, checkMethod(a.method)
}

func splitHost(text string) (host, rest string, err error) {
	if inside, ok := strings.CutPrefix(text, "["); ok {
		host, rest, ok = strings.Cut(inside, "]:")
		addr, err := netip.ParseAddr(host)
		if !ok || err != nil || !addr.Is6() || strings.ContainsFunc(addr.Zone(), notHost) {
			return "", "", fmt.Errorf("host %q: expected [IPv6 address]:port", text)
		}
		return addr.String(), rest, nil
	}
	host, rest, ok := strings.Cut(text, ":")
	switch {
	case host == "":
		return "", "", errors.New("host: expected a name, an IPv4 address or an [IPv6 address]")
	case strings.ContainsFunc(host, notHost):
		return "", "", fmt.Errorf("host %q: expected a name, an IPv4 address or an [IPv6 address]", host)
	case !ok:
		return "", "", errors.New("port: expected host:port:method")
	}
	return host, rest, nil
}

func notHost(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._", r)
}

func checkPort(port string) error {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '0' || port[0] == '+' {
		return fmt.Errorf("port %q: expected a number from 1 to 65535", port)
	}
	return nil
}

func checkMethod(method string) error {
	switch {
	case method == "":
		return errors.New("method: expected host:port:method")
	case !utf8.ValidString(method):
		return fmt.Errorf("method %q: expected UTF-8", method)
	case strings.ContainsFunc(method, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return fmt.Errorf("method %q: expected no blanks and no control characters", method)
	}
	return nil
}

// parse reads what follows the scheme of a socket.
func (t *transport) parse(addr string) (*socket, error) {
	if len(addr) > maxSocketLen {
		return nil, fmt.Errorf("expected at most %d bytes, got %d", maxSocketLen, len(addr))
	}
	a, err := splitAddress(addr)
	if err != nil {
		return nil, err
	}
	opts := t.defaults
	if a.options != "" {
		own, err := t.params.with(a.options)
		if err != nil {
			return nil, err
		}
		opts = newSettings(own, &t.replaced)
		opts.text = strings.Clone(a.options) // not all of the text it was cut from
	}
	return newSocket(t.scheme, a, opts), nil
}

func newSocket(scheme string, a address, opts *settings) *socket {
	host := a.hostText()
	lower := strings.ToLower(host)
	if lower != host {
		own := *opts
		own.host = strings.Clone(host)
		opts = &own
	}
	hostEnd := len(scheme) + 1 + len(host)
	portEnd := hostEnd + 1 + len(a.port)
	return &socket{
		opts:    opts,
		key:     scheme + ":" + lower + ":" + a.port + a.path + ":" + a.method,
		hostEnd: uint16(hostEnd),
		portEnd: uint16(portEnd),
		pathEnd: uint16(portEnd + len(a.path)),
	}
}
