package xmlrpc_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/evid/evid/xmlrpc"
)

func BenchmarkEncodeCall(b *testing.B) {
	shapes := []struct {
		name  string
		shape xmlrpc.Shape
	}{{"beside", xmlrpc.NameBeside}, {"struct", xmlrpc.NameInStruct}, {"none", xmlrpc.NameNone}}
	for _, s := range shapes {
		for _, n := range []int{1, 5, 20} {
			b.Run(fmt.Sprintf("%s/%dparams", s.name, n), func(b *testing.B) {
				enc := xmlrpc.Encoder{Shape: s.shape}
				buffer := make([]byte, 0, 8192)
				b.ReportAllocs()
				for b.Loop() {
					dst := enc.CallStart(buffer, "block_ip")
					dst = enc.ParamsStart(dst)
					for range n {
						dst = enc.StringParam(dst, "ip", "192.168.2.11")
					}
					enc.CallEnd(dst)
				}
			})
		}
	}
}

// BenchmarkEncodeCallReference is what encoding/xml takes for a call like that of
// BenchmarkEncodeCall/struct: the reference of the README's table.
func BenchmarkEncodeCallReference(b *testing.B) {
	type value struct {
		String string `xml:"value>string,omitempty"`
	}
	type member struct {
		Name  string `xml:"name"`
		Value value
	}
	type param struct {
		Member member `xml:"value>struct>member"`
	}
	type call struct {
		XMLName xml.Name `xml:"methodCall"`
		Method  string   `xml:"methodName"`
		Params  []param  `xml:"params>param"`
	}
	for _, n := range []int{1, 20} {
		b.Run(fmt.Sprintf("%dparams", n), func(b *testing.B) {
			c := call{Method: "block_ip"}
			for range n {
				c.Params = append(c.Params, param{member{"ip", value{"192.168.2.11"}}})
			}
			var buffer bytes.Buffer
			b.ReportAllocs()
			for b.Loop() {
				buffer.Reset()
				if err := xml.NewEncoder(&buffer).Encode(c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncodeMulticall(b *testing.B) {
	enc := xmlrpc.Encoder{Shape: xmlrpc.NameInStruct}
	items := enc.StringItem(nil, "ip", "192.168.2.11")
	buffer := make([]byte, 0, 16384)
	b.ReportAllocs()
	for b.Loop() {
		dst := enc.MulticallStart(buffer)
		for range 32 {
			dst = appendItem(&enc, dst, "block_ip", items)
		}
		enc.MulticallEnd(dst)
	}
}

func BenchmarkEscape(b *testing.B) {
	for _, text := range []struct{ name, unit string }{
		{"clean", "sip:bob@10.0.0.1"}, {"markup", "<sip:bob@10.0>&\r"}, {"utf8", "grüße an żółw☃"},
	} {
		b.Run(text.name, func(b *testing.B) {
			var enc xmlrpc.Encoder
			value := strings.Repeat(text.unit, 64)
			buffer := make([]byte, 0, 16384)
			b.SetBytes(int64(len(value)))
			b.ReportAllocs()
			for b.Loop() {
				enc.StringItem(buffer, "", value)
			}
		})
	}
}

func BenchmarkDecodeResponse(b *testing.B) {
	for _, response := range []struct{ name, xml string }{
		{"ok", "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n<value><boolean>1</boolean></value>\n</param>\n</params>\n</methodResponse>\n"},
		{"fault", string(xmlrpc.AppendFault(nil, xmlrpc.Fault{Code: -32601, String: "method not found"}))},
	} {
		b.Run(response.name, func(b *testing.B) {
			data := []byte(response.xml)
			b.ReportAllocs()
			for b.Loop() {
				if v, err := xmlrpc.DecodeResponse(data, xmlrpc.Limits{}); v == nil && err == nil {
					b.Fatal("neither a value nor an error")
				}
			}
		})
	}
}

func BenchmarkDecodeMulticallResponse(b *testing.B) {
	results := make([]xmlrpc.MulticallResult, 32)
	data, err := xmlrpc.AppendMulticallResponse(nil, results)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := xmlrpc.DecodeMulticallResponse(data, len(results), xmlrpc.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCheckMulticallResponse reads what a server answers to a system.multicall
// of 32 calls: to all the same, and to each something else.
func BenchmarkCheckMulticallResponse(b *testing.B) {
	for _, response := range []struct {
		name  string
		value func(i int) any
	}{
		{"same", func(int) any { return 1 }},
		{"different", func(i int) any { return i }},
	} {
		b.Run(response.name, func(b *testing.B) {
			results := make([]xmlrpc.MulticallResult, 32)
			for i := range results {
				results[i].Value = response.value(i)
			}
			data, err := xmlrpc.AppendMulticallResponse(nil, results)
			if err != nil {
				b.Fatal(err)
			}
			faults := make([]*xmlrpc.Fault, len(results))
			b.ReportAllocs()
			for b.Loop() {
				if err := xmlrpc.CheckMulticallResponse(data, faults, xmlrpc.Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
