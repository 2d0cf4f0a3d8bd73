package xmlrpc

import "unicode/utf8"

// plain tells the bytes that are the same in XML text and in what it stands for.
// The others need a look.
var plain = plainBytes()

func plainBytes() (table [256]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		table[c] = c != '&' && c != '<' && c != '>'
	}
	table['\t'], table['\n'] = true, true
	return table
}

// isChar reports whether XML 1.0 allows the character in a document.
func isChar(r rune) bool {
	switch {
	case r < ' ':
		return r == '\t' || r == '\n' || r == '\r'
	case r <= 0xD7FF:
		return true
	default:
		return 0xE000 <= r && r <= 0xFFFD || 0x10000 <= r && r <= utf8.MaxRune
	}
}

// isText reports whether r, as decoded from size bytes, is a character that XML
// allows and not a byte that is no UTF-8.
func isText(r rune, size int) bool {
	return isChar(r) && (r != utf8.RuneError || size > 1)
}

const replacement = string(utf8.RuneError)

// appendEscaped appends text as XML character data. It returns how many
// characters that XML forbids, and bytes that are no UTF-8, it replaced.
func appendEscaped(dst []byte, text string) (_ []byte, replaced int) {
	done := 0 // text[:done] is appended
	for i := 0; i < len(text); {
		c := text[i]
		if plain[c] {
			i++
			continue
		}
		size, escape := 1, replacement
		switch c {
		case '&':
			escape = "&amp;"
		case '<':
			escape = "&lt;"
		case '>':
			escape = "&gt;"
		case '\r':
			escape = "&#13;"
		default:
			var r rune
			r, size = utf8.DecodeRuneInString(text[i:])
			if isText(r, size) {
				i += size
				continue
			}
			replaced++
		}
		dst = append(dst, text[done:i]...)
		dst = append(dst, escape...)
		i += size
		done = i
	}
	return append(dst, text[done:]...), replaced
}
