//go:build !linux

package hep

import "net"

// kernelDrops is not known here.
func kernelDrops(*net.UDPConn) uint64 { return 0 }
