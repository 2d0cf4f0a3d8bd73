package ratelimit_test

import (
	"strconv"
	"testing"

	"github.com/evid/evid/script/ratelimit"
)

func namesOf(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = "gw_198.51.100." + strconv.Itoa(i)
	}
	return names
}

// One check of pipes that are there: of one, and of ten thousand by turns, by one caller and
// by as many as there are cores.
func BenchmarkCheck(b *testing.B) {
	for _, a := range []ratelimit.Algorithm{ratelimit.TailDrop, ratelimit.SBT} {
		for _, pipes := range []int{1, 10_000} {
			l := open(b, nil)
			names := namesOf(pipes)
			check := func(i int) {
				if _, err := l.Check(names[i%pipes], 100, a); err != nil {
					b.Error(err)
				}
			}
			for i := range pipes {
				check(i)
			}
			name := a.String() + "/" + strconv.Itoa(pipes)
			b.Run(name+"/one", func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					check(i)
				}
			})
			b.Run(name+"/all", func(b *testing.B) {
				b.RunParallel(func(pb *testing.PB) {
					for i := 0; pb.Next(); i++ {
						check(i)
					}
				})
			})
		}
	}
}
