package jetstream_test

import (
	"testing"

	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/storetest"
)

func TestEmbedded(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Opener {
		p := inDir(t.TempDir())
		return func(t *testing.T) queue.Store { return open(t, p) }
	})
}
