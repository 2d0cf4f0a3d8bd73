package hep_test

import (
	"fmt"

	"github.com/evid/evid/source/hep"
)

func ExampleDecode() {
	p, err := hep.Decode([]byte("HEP3\x00\x3a" +
		"\x00\x00\x00\x02\x00\x07\x11" + // UDP
		"\x00\x00\x00\x03\x00\x0a\xc0\x00\x02\x01" + // from 192.0.2.1
		"\x00\x00\x00\x07\x00\x08\x13\xc4" + // port 5060
		"\x00\x00\x00\x0b\x00\x07\x01" + // SIP
		"\x00\x03\x00\x65\x00\x09abc" + // a chunk of OpenSIPS
		"\x00\x00\x00\x0f\x00\x0bHello"))
	if err != nil {
		fmt.Println(err)
		return
	}
	field, err := hep.ParseField("3:101")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Transport(), p.Source, string(p.Payload), p.Value(field).Text())
	// Output: udp 192.0.2.1:5060 Hello abc
}
