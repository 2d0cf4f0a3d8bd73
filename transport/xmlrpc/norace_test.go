//go:build !race

package xmlrpc

const raceDetector = false
