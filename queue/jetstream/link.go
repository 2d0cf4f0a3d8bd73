package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/evid/evid/queue"
)

const (
	// maxPending is what the server buffers for a connection. A read asks for less.
	maxPending = 64 << 20
	// retryPause is the time until something is tried again that was refused at once.
	retryPause = 50 * time.Millisecond
)

// A link is how a server is reached. Appends have a connection of their own: the server
// answers all else in the order that it comes, and an append would wait behind it. On a
// disk that hangs, whatever asks for a journal that is being written holds up its
// connection: the others have theirs.
type link struct {
	names
	replicas  int
	server    *embedded // nil: external
	write     *nats.Conn
	read      [queue.Journals]*nats.Conn
	appenders [queue.Journals]*appender
	patience  time.Duration
	gone      chan struct{} // closed with the connections: nobody waits for answers then
	once      sync.Once
}

// newLink connects. The external server's connections come back by themselves.
func newLink(n names, run string, patience time.Duration, connect func() (*nats.Conn, error)) (*link, error) {
	l := &link{names: n, replicas: 1, patience: patience, gone: make(chan struct{})}
	var err error
	if l.write, err = connect(); err != nil {
		return nil, err
	}
	for j := range l.read {
		if l.read[j], err = connect(); err != nil {
			l.close()
			return nil, err
		}
	}
	for j := range l.appenders {
		if l.appenders[j], err = newAppender(l, queue.Journal(j), run); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

func (l *link) close() {
	l.once.Do(func() { close(l.gone) })
	l.write.Close()
	for _, conn := range l.read {
		if conn != nil {
			conn.Close()
		}
	}
}

// An answer is what the JetStream API answers, as far as it is of interest here.
type answer struct {
	Error   *apiError            `json:"error"`
	Config  *server.StreamConfig `json:"config"`
	State   server.StreamState   `json:"state"`
	Message *server.StoredMsg    `json:"message"`
}

// An apiError is an error of the JetStream API.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     uint16 `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%s (%d)", e.Description, e.ErrCode) }

func isAPIError(err error, code server.ErrorIdentifier) bool {
	api, ok := errors.AsType[*apiError](err)
	return ok && api.ErrCode == uint16(code)
}

// call asks the API of the server, and gives it the link's patience.
func (l *link) call(conn *nats.Conn, what string, request any) (*answer, error) {
	return l.callUntil(conn, time.Now().Add(l.patience), what, request)
}

// callUntil may ask more than once: nothing is asked this way that does harm then.
func (l *link) callUntil(conn *nats.Conn, deadline time.Time, what string, request any) (*answer, error) {
	data, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	a := new(answer)
	err = l.insist(conn, deadline, &nats.Msg{Subject: "$JS.API." + what, Data: data}, func(reply *nats.Msg) error {
		*a = answer{}
		if err := json.Unmarshal(reply.Data, a); err != nil {
			return fmt.Errorf("read the answer to %s: %w", what, err)
		}
		if a.Error != nil {
			return a.Error
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// insist sends a request and has its reply read, again if no server is in charge at the
// moment, as when its leader was lost.
func (l *link) insist(conn *nats.Conn, deadline time.Time, m *nats.Msg, read func(reply *nats.Msg) error) error {
	for {
		patience := time.Until(deadline)
		if l.server == nil {
			// A request that a dying server took is lost.
			patience = min(patience, askAgain)
		}
		reply, err := l.request(conn, m, patience)
		if err == nil {
			err = read(reply)
		}
		if err == nil || !mayPass(err) || time.Until(deadline) < 2*retryPause {
			return err
		}
		pause := time.NewTimer(retryPause)
		<-pause.C
	}
}

func (l *link) request(conn *nats.Conn, m *nats.Msg, patience time.Duration) (*nats.Msg, error) {
	reply := make(chan *nats.Msg, 1)
	m.Reply = conn.NewInbox()
	sub, err := conn.ChanSubscribe(m.Reply, reply)
	if err != nil {
		return nil, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := conn.PublishMsg(m); err != nil {
		return nil, err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case r := <-reply:
		if len(r.Data) == 0 && r.Header.Get("Status") == "503" {
			return nil, nats.ErrNoResponders
		}
		return r, nil
	case <-l.gone:
		return nil, nats.ErrConnectionClosed
	case <-timer.C:
		return nil, nats.ErrTimeout
	}
}

// mayPass reports whether an error says no more than that nobody was there to answer, or
// none that could.
func mayPass(err error) bool {
	if api, ok := errors.AsType[*apiError](err); ok {
		return api.Code == 503 || api.ErrCode == uint16(server.JSClusterNotAvailErr)
	}
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrDisconnected)
}
