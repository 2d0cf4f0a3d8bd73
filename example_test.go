package evid_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/delivery"
	"github.com/evid/evid/queue"
	"github.com/evid/evid/transport/xmlrpc"
)

// A program raises events, and an XML-RPC server that subscribed is called.
func Example() {
	called := make(chan string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		io.WriteString(w, `<methodResponse><params><param><value>OK</value></param></params></methodResponse>`)
		called <- string(body)
	}))
	defer server.Close()

	log := slog.Default()
	params := xmlrpc.DefaultParams()
	params.UseStructParam = true
	transports, err := xmlrpc.New(params) // github.com/evid/evid/transport/xmlrpc
	if err != nil {
		log.Error("no transport", "err", err)
		return
	}
	engine := delivery.New(delivery.Options{Log: log})
	defer engine.Close()
	events := evid.New(evid.Options{
		Keeper:       queue.New(queue.DefaultParams(), engine),
		Transports:   transports.Schemes(),
		AutoRegister: true,
	})
	defer events.Close()

	socket := "xmlrpc:" + server.Listener.Addr().String() + ":block_ip"
	err = events.Subscribe("E_PIKE_BLOCKED", socket, time.Hour)
	if err != nil {
		log.Error("not subscribed", "err", err)
		return
	}
	_, err = events.Raise(context.Background(), "E_PIKE_BLOCKED", evid.String("ip", "192.168.2.11"))
	if err != nil {
		log.Error("not raised", "err", err)
		return
	}
	fmt.Println(<-called)
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
