//go:build race

package xmlrpc

// raceDetector: a sync.Pool then drops at random what is put into it.
const raceDetector = true
