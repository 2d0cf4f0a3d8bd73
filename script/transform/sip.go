package transform

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/evid/evid/script/value"
)

// A uri is the parts of one, as they stand: sip:user:password@host:port;params?headers.
// What is missing is empty.
type uri struct{ scheme, user, password, host, port, params, headers string }

// parseURI knows URIs of the schemes sip, sips, tel and urn:service. A number of tel is
// the user, and there is no host.
func parseURI(text string) (u uri, ok bool) {
	prefix, isTel := uriPrefix(text)
	if prefix == 0 || strings.Count(text, "@") > 1 {
		return uri{}, false
	}
	u.scheme, _, _ = strings.Cut(text, ":")
	rest := text[prefix:]
	if user, host, found := strings.Cut(rest, "@"); found {
		u.user, u.password, _ = strings.Cut(user, ":")
		if u.user == "" || strings.ContainsAny(user, "[]") || strings.Contains(u.password, ":") {
			return uri{}, false
		}
		rest = host
	}
	end := indexAny(rest, ";?")
	if !u.setHost(rest[:end]) {
		return uri{}, false
	}
	rest = rest[end:]
	if params, found := strings.CutPrefix(rest, ";"); found {
		end := indexAny(params, "?")
		u.params, rest = params[:end], params[end:]
	}
	u.headers = strings.TrimPrefix(rest, "?")
	if isTel {
		u.user, u.host = u.host, ""
	}
	return u, !strings.Contains(u.headers, ";")
}

// uriPrefix is the length of the scheme with all up to the user or host, 0 if it is unknown.
func uriPrefix(text string) (n int, isTel bool) {
	for _, prefix := range []string{"sip:", "sips:", "tel:", "urn:service:", "urn:nena:service:"} {
		if len(text) > len(prefix) && strings.EqualFold(text[:len(prefix)], prefix) {
			return len(prefix), prefix == "tel:"
		}
	}
	return 0, false
}

// setHost takes a host, which may be an IPv6 address in brackets, with its port.
func (u *uri) setHost(text string) bool {
	end := 0
	if strings.HasPrefix(text, "[") {
		end = strings.IndexByte(text, ']') + 1
	} else {
		end = indexAny(text, ":")
	}
	u.host = text[:end]
	port, hasPort := strings.CutPrefix(text[end:], ":")
	if u.host == "" || strings.Contains(u.host, "&") || !hasPort && port != "" {
		return false
	}
	u.port = port
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return false
		}
	}
	_, err := strconv.ParseUint("0"+port, 10, 16)
	return err == nil
}

func (u uri) schemePart() value.Value   { return ifAny(u.scheme) }
func (u uri) userPart() value.Value     { return ifAny(u.user) }
func (u uri) passwordPart() value.Value { return ifAny(u.password) }
func (u uri) hostPart() value.Value     { return ifAny(u.host) }
func (u uri) paramsPart() value.Value   { return ifAny(u.params) }
func (u uri) headersPart() value.Value  { return ifAny(u.headers) }

func (u uri) portPart() value.Value {
	if u.port == "" {
		return value.Value{}
	}
	return toInt(value.String(u.port))
}

// ifAny is a text, or NULL if it is empty.
func ifAny(text string) value.Value {
	if text == "" {
		return value.Value{}
	}
	return value.String(text)
}

// uriPart is the bind of what returns a part of a URI.
func uriPart(part func(uri) value.Value) func(arguments) (function, error) {
	return plain(func(v value.Value) value.Value {
		u, ok := parseURI(v.Text())
		if !ok {
			return value.Value{}
		}
		return part(u)
	})
}

func uriParam(a arguments) (function, error) {
	name, err := a.name(0)
	return func(v value.Value) value.Value {
		u, ok := parseURI(v.Text())
		if !ok || u.params == "" {
			return value.Value{}
		}
		return paramOf(u.params, name)
	}, err
}

// nameaddrName returns the display name as it stands: with its quotes, if it has some.
func nameaddrName(v value.Value) value.Value {
	name, _ := parseNameaddr(v.Text())
	return ifAny(name)
}

func nameaddrURI(v value.Value) value.Value {
	_, uri := parseNameaddr(v.Text())
	return ifAny(uri)
}

// parseNameaddr takes the first address of a list like "name" <uri>;params, uri;params.
// Both results are empty if it is none. What comes after the address is not looked at.
func parseNameaddr(text string) (name, uri string) {
	text = strings.Trim(text, blanks)
	end := 0 // of the name
	if strings.HasPrefix(text, `"`) {
		if end = quotedLen(text); end == 0 || !strings.HasPrefix(strings.TrimLeft(text[end:], blanks), "<") {
			return "", ""
		}
	} else if end = indexAny(text, `<;,"\>`); end == len(text) || strings.IndexByte(";,", text[end]) >= 0 {
		uri = strings.TrimRight(text[:end], blanks)
		if strings.ContainsAny(uri, blanks) {
			return "", "" // words without a URI
		}
		return "", uri
	}
	name = strings.TrimRight(text[:end], blanks)
	rest, isOpen := strings.CutPrefix(strings.TrimLeft(text[end:], blanks), "<")
	inside, after, isClosed := strings.Cut(rest, ">")
	uri = strings.Trim(inside, blanks)
	after = strings.TrimLeft(after, blanks)
	if !isOpen || !isClosed || strings.ContainsAny(uri, blanks+`"\<`) || after != "" && after[0] != ';' && after[0] != ',' {
		return "", ""
	}
	return name, uri
}

// quotedLen is the length of the quoted text, with its quotes, that a text begins with; 0
// if it is not closed.
func quotedLen(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		case '\r', '\n':
			return 0
		}
	}
	return 0
}

func isIP(v value.Value) value.Value {
	text := v.Text()
	return truth(isIPv4(text) || isIPv6(text))
}

func isIP4(v value.Value) value.Value { return truth(isIPv4(v.Text())) }
func isIP6(v value.Value) value.Value { return truth(isIPv6(v.Text())) }

func isIPv4(text string) bool {
	addr, err := netip.ParseAddr(text)
	return err == nil && addr.Is4()
}

// isIPv6 takes an address also in brackets, as a URI has it, and none with a zone.
func isIPv6(text string) bool {
	if inside, ok := strings.CutPrefix(text, "["); ok {
		if text, ok = strings.CutSuffix(inside, "]"); !ok {
			return false
		}
	}
	addr, err := netip.ParseAddr(text)
	return err == nil && addr.Is6() && addr.Zone() == ""
}
