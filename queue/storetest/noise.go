package storetest

import "math/rand/v2"

// Noise returns so many bytes that take as many on disk, however they are kept. They
// begin as an entry does.
func Noise(n int) []byte {
	noise := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise) // it never fails
	if n > 0 {
		noise[0] = 1
	}
	return noise
}
