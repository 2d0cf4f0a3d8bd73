package xmlrpc

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

// FuzzScanner holds that a document that encoding/xml reads is read the same way
// here: the same tags with the same text before them.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		"<?xml version='1.0'?><a b='1' c = \"<>\">x&amp;y<b/></a >",
		"a\r\nb\rc&#13;<x>d<![CDATA[e<f>]]>g<!-- h -->i<?j k?>l</x>",
		"\xEF\xBB\xBF <ex:i8 xmlns:ex='u'>8</ex:i8>",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		want, err := tagsOfEncodingXML(document)
		if err != nil {
			return
		}
		scan, err := newScanner(document, math.MaxInt)
		if err != nil {
			t.Fatalf("%q: %v", document, err)
		}
		var got []string
		for {
			next, err := scan.next()
			if err != nil {
				t.Fatalf("%q: %v", document, err)
			}
			got = append(got, fmt.Sprintf("%q %d %s", next.text, next.kind, next.name))
			if next.kind == endOfDocument {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q:\ngot  %q\nwant %q", document, got, want)
		}
	})
}

// tagsOfEncodingXML returns an error also for what the package does not accept
// by design: directives.
func tagsOfEncodingXML(document []byte) (tags []string, err error) {
	document = bytes.TrimPrefix(document, []byte("\xEF\xBB\xBF"))
	decoder := xml.NewDecoder(bytes.NewReader(document))
	var text []byte
	add := func(kind tagKind, name xml.Name) {
		full := strings.TrimPrefix(name.Space+":"+name.Local, ":")
		tags = append(tags, fmt.Sprintf("%q %d %s", text, kind, full))
		text = nil
	}
	for {
		token, err := decoder.RawToken()
		switch token := token.(type) {
		case xml.CharData:
			text = append(text, token...)
		case xml.StartElement:
			add(startTag, token.Name)
		case xml.EndElement:
			add(endTag, token.Name)
		case xml.Directive:
			return nil, errDoctype
		}
		if errors.Is(err, io.EOF) {
			add(endOfDocument, xml.Name{})
			return tags, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
