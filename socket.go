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
