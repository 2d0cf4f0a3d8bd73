//go:build !linux

package tcp

import "time"

const briefly = 20 * time.Millisecond

func aloneDialer() *Dialer   { return NewDialer() }
func crowdedDialer() *Dialer { return NewDialer() }
