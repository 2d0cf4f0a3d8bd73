package sip

import "strings"

const blanks = " \t\r\n"

// An Address is that of a From, To or Contact header.
type Address struct {
	URI string // as it stands, without < and >
	Tag string // the parameter of this name; empty: there is none
}

// User is the user of the URI, as it stands; empty if there is none. It is the number of a
// tel URI.
func (a Address) User() string { return splitURI(a.URI).user }

// Domain is the host of the URI, an IPv6 address with its brackets; empty if there is none,
// as in a tel URI.
func (a Address) Domain() string { return splitURI(a.URI).host }

// uri is what is known of a URI. All is empty for a scheme that SIP does not say how to
// take apart.
type uri struct{ user, host string }

func splitURI(text string) (u uri) {
	scheme, rest, _ := strings.Cut(text, ":")
	switch {
	case strings.EqualFold(scheme, "tel"):
		u.user = before(rest, ";?")
		return u
	case !strings.EqualFold(scheme, "sip") && !strings.EqualFold(scheme, "sips"):
		return u
	}
	// An @ can stand unescaped in what follows a ?, and a ; or ? in the user before it.
	if user, host, found := strings.Cut(rest, "@"); found {
		u.user, rest = before(user, ":"), host
	}
	if strings.HasPrefix(rest, "[") {
		if end := strings.IndexByte(rest, ']'); end > 0 {
			u.host = rest[:end+1]
		}
		return u
	}
	u.host = before(rest, ":;?")
	return u
}

// before is the text up to the first of some bytes.
func before(text, stops string) string {
	if at := strings.IndexAny(text, stops); at >= 0 {
		return text[:at]
	}
	return text
}

// parseAddress takes one name-addr or addr-spec with its parameters: "name" <uri>;tag=x.
func parseAddress(text string) (a Address, ok bool) {
	text = strings.Trim(text, blanks)
	params := ""
	if open := indexOutside(text, '<'); open >= 0 {
		inside, after, closed := strings.Cut(text[open+1:], ">")
		if !closed {
			return Address{}, false
		}
		a.URI, params = strings.Trim(inside, blanks), after
	} else {
		if strings.HasPrefix(text, `"`) {
			return Address{}, false // a name, and no URI
		}
		a.URI, params, _ = strings.Cut(text, ";")
		a.URI, params = strings.TrimRight(a.URI, blanks), ";"+params
	}
	if scheme, rest, found := strings.Cut(a.URI, ":"); !found || scheme == "" || rest == "" || strings.ContainsAny(a.URI, blanks) {
		return Address{}, false
	}
	a.Tag, _ = param(params, "tag")
	return a, true
}

// param finds a parameter in ;name=value;name. It may have no value.
func param(params, name string) (value string, found bool) {
	for params != "" {
		end := indexOutside(params, ';')
		one := params
		if end >= 0 {
			one, params = params[:end], params[end+1:]
		} else {
			params = ""
		}
		key, value, _ := strings.Cut(one, "=")
		if strings.EqualFold(strings.Trim(key, blanks), name) {
			return strings.Trim(value, blanks), true
		}
	}
	return "", false
}

// indexOutside is where a byte stands outside of texts in quotes, and, unless it is a <, of
// < and >; -1 if nowhere.
func indexOutside(text string, c byte) int {
	quoted, angled := false, false
	for i := 0; i < len(text); i++ {
		switch {
		case quoted:
			switch text[i] {
			case '\\':
				i++
			case '"':
				quoted = false
			}
		case text[i] == c && !angled:
			return i
		case text[i] == '"' && !angled:
			quoted = true
		case text[i] == '<':
			angled = true
		case text[i] == '>':
			angled = false
		}
	}
	return -1
}

// A via is the first value of a Via header.
type via struct {
	text  string // all of it, trimmed
	host  string // an IPv6 address with its brackets
	port  string // empty: none
	rport bool   // there is the parameter, without a value
}

// parseVia takes SIP/2.0/UDP host:port;params.
func parseVia(text string) (v via, ok bool) {
	if end := indexOutside(text, ','); end >= 0 {
		text = text[:end]
	}
	v.text = strings.Trim(text, blanks)
	// There may be blanks around each / and :.
	sentBy, params := v.text, ""
	if end := indexOutside(v.text, ';'); end >= 0 {
		sentBy, params = v.text[:end], v.text[end+1:]
	}
	name, rest, _ := strings.Cut(sentBy, "/")
	version, rest, found := strings.Cut(rest, "/")
	rest = strings.TrimLeft(rest, blanks)
	at := strings.IndexAny(rest, blanks)
	if !found || at < 0 || strings.Trim(name, blanks) == "" || strings.Trim(version, blanks) == "" {
		return via{}, false
	}
	host := strings.Trim(rest[at:], blanks)
	end := strings.IndexByte(host, ']') + 1
	if colon := strings.IndexByte(host[end:], ':'); colon >= 0 {
		v.port = strings.Trim(host[end+colon+1:], blanks)
		host = host[:end+colon]
	}
	v.host = strings.TrimRight(host, blanks)
	if v.host == "" || strings.ContainsAny(v.host, blanks) || strings.ContainsAny(v.port, blanks) {
		return via{}, false
	}
	value, found := param(params, "rport")
	v.rport = found && value == ""
	return v, true
}
