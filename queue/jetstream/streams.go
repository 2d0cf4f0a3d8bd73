package jetstream

import (
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/evid/evid/queue"
)

const (
	// dedupeWindow is how long a cluster remembers the ids of entries: longer than one is
	// tried again.
	dedupeWindow = 30 * time.Second
	// noDedupe is the least that a server remembers. The embedded one is asked once, and
	// would have to read what it remembers when it starts.
	noDedupe = 100 * time.Millisecond
)

// embeddedPrefix is the prefix in the embedded server: nobody else has streams there.
const embeddedPrefix = "evid"

// names are those of the streams and their subjects.
type names struct {
	prefix string
}

func (n names) stream(j queue.Journal) string  { return n.prefix + "-" + j.String() }
func (n names) subject(j queue.Journal) string { return n.prefix + ".log." + j.String() }

// The stream that an external server knows by which evid uses the others; the embedded
// one is tried with it.
func (n names) aliveStream() string  { return n.prefix + "-alive" }
func (n names) aliveSubject() string { return n.prefix + ".alive" }

// config is that of the stream of a journal.
func (l *link) config(j queue.Journal) server.StreamConfig {
	window := dedupeWindow
	if l.server != nil {
		window = noDedupe
	}
	return server.StreamConfig{
		Name: l.stream(j), Subjects: []string{l.subject(j)}, Storage: server.FileStorage,
		Retention: server.LimitsPolicy, MaxConsumers: -1, MaxMsgs: -1, MaxBytes: -1, MaxMsgsPer: -1, MaxMsgSize: -1,
		Replicas: l.replicas, AllowDirect: true, Duplicates: window,
	}
}

func (l *link) aliveConfig() server.StreamConfig {
	return server.StreamConfig{
		Name: l.aliveStream(), Subjects: []string{l.aliveSubject()}, Storage: server.FileStorage,
		Retention: server.LimitsPolicy, MaxConsumers: -1, MaxMsgs: 1, MaxBytes: -1, MaxMsgsPer: -1, MaxMsgSize: -1,
		Replicas: l.replicas, Duplicates: noDedupe,
	}
}

// ensureStreams makes the streams, or sees that they are what they should be. It returns
// what the journals have.
func (l *link) ensureStreams() ([queue.Journals]server.StreamState, error) {
	var states [queue.Journals]server.StreamState
	for j := range queue.Journals {
		a, err := l.ensure(l.config(j))
		if err != nil {
			return states, err
		}
		states[j] = a.State
	}
	return states, nil
}

func (l *link) ensure(want server.StreamConfig) (*answer, error) {
	a, err := l.call(l.write, "STREAM.INFO."+want.Name, struct{}{})
	if isAPIError(err, server.JSStreamNotFoundErr) {
		a, err = l.call(l.write, "STREAM.CREATE."+want.Name, want)
		if err != nil {
			return nil, fmt.Errorf("make stream %s: %w", want.Name, err)
		}
		return a, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask for stream %s: %w", want.Name, err)
	}
	have := a.Config
	if have == nil {
		return nil, fmt.Errorf("ask for stream %s: expected its configuration, got none", want.Name)
	}
	if err := checkConfig(have, &want); err != nil {
		return nil, fmt.Errorf("use stream %s: %w", want.Name, err)
	}
	if have.Replicas == want.Replicas && have.AllowDirect == want.AllowDirect && have.Duplicates == want.Duplicates {
		return a, nil
	}
	// The rest is kept as it is: somebody may have set a description, or a placement.
	changed := *have
	changed.Replicas, changed.AllowDirect, changed.Duplicates = want.Replicas, want.AllowDirect, want.Duplicates
	if _, err := l.call(l.write, "STREAM.UPDATE."+want.Name, changed); err != nil {
		return nil, fmt.Errorf("change stream %s: %w", want.Name, err)
	}
	return a, nil
}

// checkConfig sees that nothing is thrown away, or added, but by this package.
func checkConfig(have, want *server.StreamConfig) error {
	switch {
	case len(have.Subjects) != 1 || have.Subjects[0] != want.Subjects[0]:
		return fmt.Errorf("expected it to have subject %s, it has %q", want.Subjects[0], have.Subjects)
	case have.Storage != server.FileStorage:
		return fmt.Errorf("expected it to be in files, it is in %v", have.Storage)
	case have.Retention != server.LimitsPolicy:
		return fmt.Errorf("expected limits retention, it has %v", have.Retention)
	case have.MaxMsgs != want.MaxMsgs || have.MaxBytes > 0 || have.MaxAge != 0 || have.MaxMsgsPer > 0:
		return fmt.Errorf("expected no limits, it has max_msgs %d, max_bytes %d, max_age %v, max_msgs_per_subject %d",
			have.MaxMsgs, have.MaxBytes, have.MaxAge, have.MaxMsgsPer)
	case have.MaxMsgSize > 0 && have.MaxMsgSize < queue.MaxEntry+maxHeader:
		return fmt.Errorf("expected it to take %d bytes, its max_msg_size is %d", queue.MaxEntry+maxHeader, have.MaxMsgSize)
	case have.Sealed || have.DenyDelete || have.DenyPurge:
		return fmt.Errorf("expected that entries may be deleted, it has sealed %t, deny_delete %t, deny_purge %t",
			have.Sealed, have.DenyDelete, have.DenyPurge)
	case len(have.Sources) > 0 || have.Mirror != nil || have.SubjectTransform != nil:
		return fmt.Errorf("expected that only evid adds to it, it has sources, a mirror or a transform")
	}
	return nil
}
