//go:build !linux

package sip

import "net"

func setReadBuffer(conn *net.UDPConn, size int) { _ = conn.SetReadBuffer(size) }
