package queue_test

import (
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/storetest"
)

// checkStore looks through all that a store has, journal after journal.
func checkStore(t *testing.T, store *storetest.Memory) queue.Report {
	t.Helper()
	check := queue.NewCheck()
	for j := range queue.Journals {
		for from := uint64(1); ; {
			var entries [16]queue.Entry
			n, err := store.Read(j, from, entries[:])
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			for _, e := range entries[:n] {
				if err := check.Add(j, e); err != nil {
					t.Fatal(err)
				}
			}
			from = entries[n-1].Pos + 1
		}
	}
	return check.Report()
}

// filledStore is the store of a queue that was killed: x:1 has had 5 of 20 events, x:2 has
// none and x:3 all, of which 2 became dead letters; 10 more were raised after that.
func filledStore(t *testing.T) *storetest.Memory {
	r := newDiskRig(t)
	r.start()
	for _, key := range []string{"x:1", "x:2", "x:3"} {
		r.subscribe(key, evid.Never)
	}
	r.raise(20)
	r.settle("x:1", queue.Delivered, 5)
	r.settle("x:3", queue.Dead, 2)
	r.settle("x:3", queue.Delivered, 18)
	saved()
	r.store.OnAppend(func(j queue.Journal, _ uint64, _ []byte) storetest.Fault {
		if j == queue.StateLog {
			return storetest.Refused
		}
		return storetest.None
	})
	r.raise(10)
	store := r.store.Clone()
	r.store.OnAppend(nil)
	r.stop()
	return store
}

// settle gives so many events of a subscriber a fate.
func (r *diskRig) settle(key string, fate queue.Fate, n int) {
	r.Helper()
	events, _ := r.reader(key).next(n)
	if len(events) != n {
		r.Fatalf("%s got %d events, want %d", key, len(events), n)
	}
	outcomes := make([]queue.Outcome, n)
	for i := range outcomes {
		outcomes[i] = queue.Outcome{Fate: fate, Reason: "refused", First: time.Now(), Last: time.Now()}
	}
	r.reader(key).done(events, outcomes)
}

func TestCheck(t *testing.T) {
	all := queue.Report{Events: 30, Names: 1, Letters: 2, Subscribers: 3, Waiting: 25 + 30 + 10}
	with := func(change func(r *queue.Report)) queue.Report {
		r := all
		change(&r)
		return r
	}
	for _, test := range []struct {
		name   string
		damage func(s *storetest.Memory)
		want   queue.Report
	}{
		{"nothing", func(*storetest.Memory) {}, all},
		{"empty", func(s *storetest.Memory) { *s = *storetest.NewMemory() }, queue.Report{}},
		{
			"an event", func(s *storetest.Memory) { s.Damage(queue.EventLog, 10) },
			with(func(r *queue.Report) {
				r.Events, r.Waiting = 29, 63
				r.Problems = []string{
					"read chunk 10 of events: it is damaged: wrong checksum",
					"events: lost before entry 11: 1",
					"events: missing of E_X, from its event 9 on: 1",
				}
				r.Notes = []string{
					"x:1 of E_X: events that wait for it: 25; of these dropped by a limit, or lost: 1",
					"x:2 of E_X: events that wait for it: 30; of these dropped by a limit, or lost: 1",
				}
			}),
		},
		{
			"missing events", func(s *storetest.Memory) { deleteRange(s, queue.EventLog, 3, 7) },
			with(func(r *queue.Report) {
				r.Events, r.Waiting = 25, 65-2-5
				r.Problems = []string{
					"events: entries 3 to 7 are missing",
					"events: lost before entry 8: 5",
					"events: missing of E_X, from its event 2 on: 5",
				}
				r.Notes = []string{
					"x:1 of E_X: events that wait for it: 25; of these dropped by a limit, or lost: 2",
					"x:2 of E_X: events that wait for it: 30; of these dropped by a limit, or lost: 5",
				}
			}),
		},
		{
			"trimmed", func(s *storetest.Memory) { deleteRange(s, queue.EventLog, 1, 6) },
			with(func(r *queue.Report) {
				r.Events, r.Waiting = 24, 65-1-6
				r.Notes = []string{
					"x:1 of E_X: events that wait for it: 25; of these dropped by a limit, or lost: 1",
					"x:2 of E_X: events that wait for it: 30; of these dropped by a limit, or lost: 6",
				}
			}),
		},
		{
			"the newest events", func(s *storetest.Memory) { deleteRange(s, queue.EventLog, 19, 30) },
			with(func(r *queue.Report) {
				r.Events, r.Waiting = 18, 13+18
				r.Problems = []string{"events: entries 19 to 20 are missing: they were the newest"}
				r.Notes = []string{
					"x:1 of E_X: events that wait for it: 15; of these dropped by a limit, or lost: 2",
					"x:2 of E_X: events that wait for it: 20; of these dropped by a limit, or lost: 2",
				}
			}),
		},
		{
			"dead letters", func(s *storetest.Memory) { s.Damage(queue.LetterLog, 1) },
			with(func(r *queue.Report) {
				r.Letters = 0
				r.Problems = []string{"read entry 1 of the dead letters: it is damaged: wrong checksum"}
			}),
		},
		{
			"the state", func(s *storetest.Memory) { deleteRange(s, queue.StateLog, 1, newest(s, queue.StateLog)) },
			with(func(r *queue.Report) {
				r.Letters, r.Subscribers, r.Waiting = 0, 0, 0
				r.Problems = []string{"state: there is no save that has its end: no subscriber is known"}
				r.Notes = []string{
					"letters: of events that are delivered again, as it was not saved what has become of them: 2",
				}
			}),
		},
		{
			"the first save", func(s *storetest.Memory) { s.Damage(queue.StateLog, 1) },
			with(func(r *queue.Report) {
				r.Problems = []string{
					"read entry 1 of the state: it is damaged: wrong checksum",
				}
			}),
		},
		{
			"a save in the middle", func(s *storetest.Memory) { s.Delete(queue.StateLog, newest(s, queue.StateLog)-1) },
			with(func(r *queue.Report) {
				r.Problems = []string{"state: entry N is missing"}
			}),
		},
		{
			"the oldest state", func(s *storetest.Memory) { s.Delete(queue.StateLog, 1) },
			with(func(r *queue.Report) {
				r.Problems = []string{"state: what was saved before entry 2 is missing: subscribers may be"}
			}),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := filledStore(t)
				test.damage(store)
				got := checkStore(t, store)
				for i := range got.Problems { // how many saves there are is by chance
					got.Problems[i] = stateEntry.ReplaceAllString(got.Problems[i], "state: entry N is")
				}
				if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(queue.Report{}, "Journals")); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

var stateEntry = regexp.MustCompile(`^state: entry \d+ is`)

func deleteRange(s *storetest.Memory, j queue.Journal, from, to uint64) {
	for pos := from; pos <= to; pos++ {
		s.Delete(j, pos)
	}
}

func newest(s *storetest.Memory, j queue.Journal) uint64 {
	info, _ := s.Info(j)
	return info.Last
}

// A report says how much each journal has, and of which time.
func TestCheckJournals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		got := checkStore(t, filledStore(t))
		for j, want := range []queue.JournalReport{
			{Entries: 30, First: began, Last: began.Add(5 * time.Second)},
			{Entries: 1, First: began, Last: began},
			{First: began, Last: began.Add(100 * time.Millisecond)},
		} {
			r := got.Journals[j]
			if r.Bytes == 0 || want.Entries > 0 && r.Entries != want.Entries || !r.First.Equal(want.First) || !r.Last.Equal(want.Last) {
				t.Errorf("%s: %+v, want %+v", queue.Journal(j), r, want)
			}
		}
	})
}

// Very much damage has a bounded report.
func TestCheckIsBounded(t *testing.T) {
	check := queue.NewCheck()
	for pos := range uint64(5000) {
		if err := check.Add(queue.EventLog, queue.Entry{Pos: pos + 1, Data: []byte("no entry")}); err != nil {
			t.Fatal(err)
		}
	}
	if r := check.Report(); len(r.Problems) != 1000 || r.More != 4001 {
		t.Errorf("%d problems, %d more", len(r.Problems), r.More)
	}
}
