package xmlrpc_test

import (
	"errors"
	"fmt"

	"github.com/evid/evid/xmlrpc"
)

func ExampleEncoder() {
	enc := xmlrpc.Encoder{Shape: xmlrpc.NameInStruct}
	call := enc.CallStart(nil, "block_ip")
	call = enc.ParamsStart(call)
	call = enc.StringParam(call, "", "E_PIKE_BLOCKED")
	call = enc.StringParam(call, "ip", "192.168.2.11")
	call = enc.CallEnd(call)
	fmt.Printf("%s\n", call)
	// Output:
	// <?xml version="1.0"?>
	// <methodCall>
	// <methodName>block_ip</methodName>
	// <params>
	// <param>
	// <value><string>E_PIKE_BLOCKED</string></value>
	// </param>
	// <param>
	// <value><struct><member>
	// <name>ip</name>
	// <value><string>192.168.2.11</string></value>
	// </member></struct></value>
	// </param>
	// </params>
	// </methodCall>
}

func ExampleDecodeCall() {
	data, err := xmlrpc.AppendCall(nil, "block_ip", "E_PIKE_BLOCKED", xmlrpc.Struct{{Name: "ip", Value: "192.168.2.11"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	call, err := xmlrpc.DecodeCall(data, xmlrpc.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(call.Method)
	for _, p := range call.Params {
		fmt.Println(p.Value)
	}
	// Output:
	// block_ip
	// E_PIKE_BLOCKED
	// [{ip 192.168.2.11}]
}

func ExampleDecodeResponse() {
	response := xmlrpc.AppendFault(nil, xmlrpc.Fault{Code: -32601, String: "no such method"})
	_, err := xmlrpc.DecodeResponse(response, xmlrpc.Limits{})
	if fault, isFault := errors.AsType[*xmlrpc.Fault](err); isFault {
		fmt.Println("the server refused:", fault.Code, fault.String)
	}
	// Output: the server refused: -32601 no such method
}
