package httpd_test

import (
	"testing"
	"time"

	"github.com/evid/evid"
)

// registerAsCaptured registers the events that the captured server had.
func registerAsCaptured(t *testing.T, iface *evid.Interface) {
	t.Helper()
	for _, event := range []string{
		"E_CORE_SR_STATUS_CHANGED", "E_CORE_THRESHOLD", "E_CORE_SHM_THRESHOLD", "E_CORE_PKG_THRESHOLD",
		"E_CORE_PROC_AUTO_SCALE", "E_CORE_TCP_DISCONNECT", "E_PROFILING_SCRIPT", "E_PROFILING_PROC",
		"E_PIKE_BLOCKED", "E_FLATSTORE_ROTATION", "E_TEST", "E_CORE_LOG",
	} {
		if err := iface.Register(event); err != nil {
			t.Fatal(err)
		}
	}
}

type step func(*testing.T, *evid.Interface)

func subscribe(socket string, expire time.Duration) step {
	return func(t *testing.T, iface *evid.Interface) {
		if err := iface.Subscribe("E_TEST", socket, expire); err != nil {
			t.Fatal(err)
		}
	}
}

func unsubscribe(socket string) step {
	return func(t *testing.T, iface *evid.Interface) {
		if err := iface.Unsubscribe("E_TEST", socket); err != nil {
			t.Fatal(err)
		}
	}
}

// before is the state that calls made which are not among the captures.
var before = map[string][]step{
	"012-subscribe-pos3": {
		subscribe("udp:127.0.0.1:10", time.Hour),
		subscribe("udp:127.0.0.1:9", 100*time.Second),
	},
	"014-subscribe-expire-badstr": {subscribe("udp:127.0.0.1:12", time.Minute)},
	"020-subscribe-expire0":       {subscribe("udp:127.0.0.1:14", 2147483647*time.Second)},
	// It was subscribed for a second, which has passed in the captures.
	"021-subscribers_list-all":      {unsubscribe("udp:127.0.0.1:13")},
	"053-subscribers_list-2-xmlrpc": {subscribe("xmlrpc:127.0.0.1:45905:meth", time.Hour)},
}

const forLater = "it comes with the modules it is about"

// outsideCommands are captures of commands that evid does not have.
var outsideCommands = map[string]string{
	"101-list_tcp_conns":        forLater,
	"102-sr_list_status":        forLater,
	"103-cache_fetch-_local_k_": forLater,
}

// addedData are the captures of errors whose code and message are the same, with
// the reason in data, where OpenSIPS has none.
var addedData = map[string]string{
	"005-subscribers_list-404":        `"unknown event \"E_NOPE\": events_list lists the known ones"`,
	"006-raise-480":                   `"nobody is subscribed"`,
	"026-subscribe-unknown-event":     `"unknown event \"E_NOPE\": events_list lists the known ones"`,
	"027-subscribe-unknown-transport": `"parse socket \"nope:127.0.0.1:9\": unknown transport \"nope\": expected a socket that starts with udp: or xmlrpc:"`,
	"029-subscribe-malformed-1":       `"parse socket \"udp:127.0.0.1:\": expected a port, got \"\""`,
	"030-subscribe-malformed-2":       `"parse socket \"udp:127.0.0.1:x\": expected a port, got \"x\""`,
	"031-subscribe-malformed-3":       `"parse socket \"udp::9\": expected 2 fields, got \":9\""`,
	"037-subscribe-malformed-9":       `"parse socket \"rabbitmq:u:p@h/e\": unknown transport \"rabbitmq\": expected a socket that starts with udp: or xmlrpc:"`,
	"041-subscribe-malformed-13":      `"parse socket \"flatstore:/tmp\": unknown transport \"flatstore\": expected a socket that starts with udp: or xmlrpc:"`,
	"043-subscribe-malformed-15":      `"parse socket \"route:x\": unknown transport \"route\": expected a socket that starts with udp: or xmlrpc:"`,
	"051-subscribe-socket-int":        `"parse socket \"5\": unknown transport \"5\": expected a socket that starts with udp: or xmlrpc:"`,
	"055-subscribers_list-2-404":      `"udp:127.0.0.1:99 is not subscribed to E_TEST"`,
	"063-raise-objstr-arr":            `"params is a string that holds an array: expected a JSON object"`,
	"064-raise-badstr":                `"params is a string, but no JSON object: at byte 1: expected a JSON value, got 'h'"`,
	"066-raise-array-null":            `"parameter 1 is null: expected a string or a number"`,
	"067-raise-array-bool":            `"parameter 1 is a boolean: expected a string or a number"`,
	"068-raise-null":                  `"params is null: expected an array or an object"`,
	"070-raise-int":                   `"params is a number: expected an array or an object"`,
	"071-raise-event-int":             `"unknown event \"5\": events_list lists the known ones"`,
	"076-which-_evi_":                 `"unknown command \"evi\": which lists the known ones"`,
	"105-pike_rm":                     `"unknown command \"pike_rm\": which lists the known ones"`,
	"106-pike_rm-_127_0_0_1_":         `"unknown command \"pike_rm\": which lists the known ones"`,
	"111-rpc-parse":                   `"at byte 2: expected the name of a member in quotes, got 'b'"`,
	"112-rpc-parse-trunc":             `"at byte 42: expected ',' or '}', got the end"`,
	"115-rpc-space":                   `"at byte 3: expected a JSON value, got the end"`,
	"116-rpc-array":                   `"expected at least one request in the batch"`,
	"118-rpc-string":                  `"expected a request, which is an object, got a string"`,
	"119-rpc-null":                    `"expected a request, which is an object, got null"`,
	"124-rpc-noid-invalid":            `"expected the member \"jsonrpc\":\"2.0\""`,
	"134-rpc-nover":                   `"expected the member \"jsonrpc\":\"2.0\""`,
	"136-rpc-vernum":                  `"expected the member \"jsonrpc\":\"2.0\""`,
	"137-rpc-nomethod":                `"expected a member \"method\" that is a string"`,
	"139-rpc-params-str":              `"expected \"params\" to be an array or an object, got a string"`,
	"140-rpc-params-num":              `"expected \"params\" to be an array or an object, got a number"`,
	"143-rpc-params-null":             `"expected \"params\" to be an array or an object, got null"`,
}

// A difference is what evid answers instead, and why.
type difference struct {
	why string
	answer
}

// differences are the captures that evid answers otherwise on purpose.
var differences = map[string]difference{
	"021-subscribers_list-all": {
		"expire 0 unsubscribes at once, and who has expired is not listed",
		answer{200, "application/json", `{"jsonrpc":"2.0","result":{"Events":[{"name":"E_TEST","id":10,"Subscribers":[{"socket":"udp:127.0.0.1:14","expire":2147483647,"ttl":N},{"socket":"udp:127.0.0.1:12","expire":60,"ttl":N},{"socket":"udp:127.0.0.1:11","expire":60,"ttl":N},{"socket":"udp:127.0.0.1:10","expire":3600,"ttl":N},{"socket":"udp:127.0.0.1:9","expire":100,"ttl":N}]}]},"id":1}`},
	},
	"024-subscribers_list-unsub0": {
		"expire 0 unsubscribes at once",
		answer{200, "application/json", `{"jsonrpc":"2.0","result":{"Event":{"name":"E_TEST","id":10,"Subscribers":[{"socket":"udp:127.0.0.1:14","expire":2147483647,"ttl":N},{"socket":"udp:127.0.0.1:12","expire":60,"ttl":N},{"socket":"udp:127.0.0.1:11","expire":60,"ttl":N},{"socket":"udp:127.0.0.1:10","expire":3600,"ttl":N}]}},"id":1}`},
	},
	"053-subscribers_list-2-xmlrpc": {
		"OpenSIPS compares xmlrpc sockets wrongly and does not find the subscriber",
		answer{200, "application/json", `{"jsonrpc":"2.0","result":{"Event":{"name":"E_TEST","id":10,"Subscriber":{"socket":"xmlrpc:127.0.0.1:45905:meth","expire":3600,"ttl":N}}},"id":1}`},
	},
	"061-raise-object": {
		"a JSON object is taken, which OpenSIPS takes only inside a string",
		answer{200, "application/json", `{"jsonrpc":"2.0","result":"OK","id":1}`},
	},
	"087-help-_raise_event_": {
		"the help text is our own",
		answer{200, "application/json", `{"jsonrpc":"2.0","result":{"Help":"raises an event; params is an array of values, or an object if they have names","Exported by":"evi"},"id":1}`},
	},
	"092-get_statistics-_core_shmem_": {
		"the statistics about SIP come with SIP; the Go heap has no fragments to count",
		answer{200, "application/json", `{"jsonrpc":"2.0","result":{"core:timestamp":N,"shmem:total_size":N,"shmem:max_used_size":N,"shmem:free_size":N,"shmem:used_size":N,"shmem:real_used_size":N},"id":1}`},
	},
	"093-get_statistics-_rcv_requests_": {
		"the statistics about SIP come with SIP",
		answer{200, "application/json", `{"jsonrpc":"2.0","result":{},"id":1}`},
	},
	"098-get_statistics-_statistics_core_": {
		"the statistics about SIP come with SIP",
		answer{200, "application/json", `{"jsonrpc":"2.0","result":{"core:timestamp":N},"id":1}`},
	},
	"099-list_statistics": {
		"OpenSIPS lists statistics of modules that are not evid's",
		answer{200, "application/json", `{"jsonrpc":"2.0","result":{"core:timestamp":"non-incremental","shmem:total_size":"non-incremental","shmem:max_used_size":"non-incremental","shmem:free_size":"non-incremental","shmem:used_size":"non-incremental","shmem:real_used_size":"non-incremental"},"id":1}`},
	},
	"100-reset_statistics-_rcv_requests_": {
		"the statistics about SIP come with SIP; OpenSIPS answers so for unknown ones",
		answer{200, "application/json", `{"jsonrpc":"2.0","error":{"code":404,"message":"Statistics Not Found","data":"unknown statistic \"rcv_requests\": list_statistics lists the known ones"},"id":1}`},
	},
	"127-rpc-id-float": {
		"an id is echoed digit for digit, OpenSIPS cuts its fraction off",
		answer{200, "application/json", `{"jsonrpc":"2.0","result":{"Processes":[{"PID":,"Log level":3,"Type":}]},"id":1.5}`},
	},
	"131-rpc-id-true": {
		"an id that can be none is answered as an invalid request, OpenSIPS answers 500 with nothing",
		answer{200, "application/json", `{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request","data":"expected an id that is a string, a number or null"},"id":null}`},
	},
	"132-rpc-id-obj": {
		"as 131-rpc-id-true",
		answer{200, "application/json", `{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request","data":"expected an id that is a string, a number or null"},"id":null}`},
	},
	"163-http-ctype-form": {
		"the reply says which Content-Type is expected, OpenSIPS sends an empty one",
		answer{400, "application/json", `{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request","data":"expected Content-Type: application/json, as set by curl --json or by curl -H 'Content-Type: application/json', got application/x-www-form-urlencoded"},"id":null}`},
	},
	"167-http-ctype-multipart": {
		"the reply says which Content-Type is expected, OpenSIPS closes the connection",
		answer{400, "application/json", `{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request","data":"expected Content-Type: application/json, as set by curl --json or by curl -H 'Content-Type: application/json', got multipart/form-data; boundary=x"},"id":null}`},
	},
	"168-http-noctype": {
		"a Content-Type is not needed, OpenSIPS closes the connection",
		answer{200, "application/json", `{"jsonrpc":"2.0","result":{"Processes":[{"PID":,"Log level":3,"Type":}]},"id":1}`},
	},
	"172-http-nolength": {
		"the reply says what is missing, OpenSIPS sends an empty one",
		answer{400, "application/json", `{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request","data":"expected a JSON-RPC 2.0 request in the body, got nothing"},"id":null}`},
	},
	"175-http-garbage": {
		"the reply says that this is no HTTP, OpenSIPS closes the connection",
		answer{400, "text/plain; charset=utf-8", `400 Bad Request`},
	},
	"extra-empty-post": {
		"as 172-http-nolength",
		answer{400, "application/json", `{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request","data":"expected a JSON-RPC 2.0 request in the body, got nothing"},"id":null}`},
	},
	"extra-id-true": {
		"as 131-rpc-id-true",
		answer{200, "application/json", `{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request","data":"expected an id that is a string, a number or null"},"id":null}`},
	},
}
