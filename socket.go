package evid

// A Socket is where a subscriber is reached, in the syntax of its transport:
// "xmlrpc:127.0.0.1:8081:block_ip". Sockets are immutable, and comparable with ==.
type Socket interface {
	// Key is the socket's identity: canonical and without options. Two sockets
	// with the same key are the same subscriber.
	Key() string
	// String is the socket as lists print it, with the options it was given.
	String() string
}

// A SyncSocket is a Socket whose subscriber is delivered to while the raiser
// waits (modparam sync_mode): see [Interface.Raise].
type SyncSocket interface {
	Socket
	Sync() bool
}

func isSync(s Socket) bool {
	sync, ok := s.(SyncSocket)
	return ok && sync.Sync()
}
