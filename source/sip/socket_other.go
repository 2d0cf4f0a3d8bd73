//go:build !linux

package sip

import "net"

func setReadBuffer(conn *net.UDPConn, size int) { _ = conn.SetReadBuffer(size) }

func overflowed(*net.UDPConn) uint64 { return 0 } // unknown
