package xmlrpc

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/evid/evid"
	"github.com/evid/evid/modparam"
	"github.com/evid/evid/xmlrpc"
)

const (
	defaultPath  = "/RPC2"
	maxSocketLen = 2048 // bytes, with all options
)

// A socket is one subscriber: host ':' port ['/' path] ':' method {';' option '=' value}.
type socket struct {
	opts    Options
	tls     bool
	host    string // without brackets
	port    string
	key     string
	text    string // as lists print it
	lane    string
	head    string       // of the request, up to the value of Content-length
	prolog  string       // of the body, up to the parameters
	encoder evid.Encoder // a form
}

// Key implements [evid.Socket].
func (s *socket) Key() string { return s.key }

// String implements [evid.Socket].
func (s *socket) String() string { return s.text }

// Sync implements [evid.SyncSocket].
func (s *socket) Sync() bool { return s.opts.SyncMode }

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

// text is what is written behind the host: a path only if it is not the
// default.
func (a address) text() string {
	text := a.port
	if a.path != defaultPath {
		text += a.path
	}
	text += ":" + a.method
	if a.options != "" {
		text += ";" + a.options
	}
	return text
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

// with returns the options of a socket: o, but for what text ("timeout=500;confirm=0")
// says, and with what follows from one for another.
func (o Options) with(text string) (Options, error) {
	given := make(map[string]bool)
	if text != "" {
		if err := o.assign(text, given); err != nil {
			return o, err
		}
	}
	if o.Captured {
		if given["confirm"] && o.Confirm {
			return o, errors.New("options: captured=1 means confirm=0")
		}
		o.Confirm = false
	}
	if !o.Confirm { // the connection is half closed after the call
		if given["keepalive"] && o.Keepalive {
			return o, errors.New("options: confirm=0 means keepalive=0")
		}
		o.Keepalive = false
	}
	return o, nil
}

// assign reads the options of a socket and notes which are given.
func (o *Options) assign(text string, given map[string]bool) error {
	params := o.modparams()
	for option := range strings.SplitSeq(text, ";") {
		name, value, ok := strings.Cut(option, "=")
		if !ok {
			return fmt.Errorf("option %q: expected name=value", option)
		}
		if name == "struct" { // short for
			name = "use_struct_param"
		}
		err := modparam.Assign(params, name, value, modparam.Either)
		if errors.Is(err, modparam.ErrUnknown) {
			return fmt.Errorf("option %q: expected one of %s", option, optionNames(params))
		}
		if err != nil {
			return fmt.Errorf("option %q: %w", option, err)
		}
		given[name] = true
	}
	return nil
}

func optionNames(params []modparam.Param) string {
	names := []string{"struct"}
	for _, p := range params {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
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
	opts, err := t.params.with(a.options)
	if err != nil {
		return nil, err
	}
	host := a.hostText()
	lower := strings.ToLower(host)
	encoder := form{shape: xmlrpc.NameBeside, eventID: opts.EventID, replaced: &t.replaced}
	if opts.UseStructParam {
		encoder.shape = xmlrpc.NameInStruct
	}
	if opts.BigInt == "i8" {
		encoder.bigInt = xmlrpc.BigIntI8
	}
	return &socket{
		opts:    opts,
		tls:     t.scheme == "xmlrpcs",
		host:    a.host,
		port:    a.port,
		key:     t.scheme + ":" + lower + ":" + a.port + a.path + ":" + a.method,
		text:    t.scheme + ":" + host + ":" + a.text(),
		lane:    fmt.Sprintf("%s:%s:%s keepalive=%t verify=%t", t.scheme, lower, a.port, opts.Keepalive, opts.TLSVerify),
		head:    requestHead(a, opts),
		prolog:  string(new(xmlrpc.Encoder).CallStart(nil, a.method)),
		encoder: encoder,
	}, nil
}
