package mi

import (
	"context"
	"strings"
	"sync"
)

// A Statistic is one number that is counted.
type Statistic struct {
	Name        string // without its group
	Value       uint64
	Signed      bool   // Value is an int64
	Incremental bool   // it can be reset; mostly it only grows
	Reset       func() // resets it; nil: from then on what Value was is subtracted
}

// number is the value as replies have it, less what was counted up to the last reset.
func (s Statistic) number(base uint64) any {
	if s.Signed {
		return int64(s.Value - base)
	}
	return s.Value - base
}

// Statistics are the groups of statistics that get_statistics, list_statistics
// and reset_statistics know. The zero value has none. Methods may be called from
// several goroutines at once.
type Statistics struct {
	mu     sync.Mutex
	groups []statisticsGroup
	find   []func(name string) (n uint64, known bool)
	bases  map[string]uint64 // by full name: what was counted up to the last reset
}

type statisticsGroup struct {
	name string
	read func() []Statistic
}

// Add adds statistics to a group. Each request calls read at most once, so what
// it returns together is seen together: numbers that add up do so for whoever
// asks. It is never called by two requests at once, and must not use s, nor must
// Reset of what it returns.
func (s *Statistics) Add(group string, read func() []Statistic) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups = append(s.groups, statisticsGroup{group, read})
}

// AddFinder adds a short cut to groups in which there may be many statistics, for
// [Statistics.Statistic]: it asks find first. That must not use s.
func (s *Statistics) AddFinder(find func(name string) (n uint64, known bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.find = append(s.find, find)
}

// Statistic returns the value of one statistic, "raised" or "evi:raised", and whether there
// is one of this name.
func (s *Statistics) Statistic(name string) (n uint64, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, find := range s.find {
		if n, known = find(name); known {
			return n, true
		}
	}
	for _, group := range s.groups {
		if prefix, _, named := strings.Cut(name, ":"); named && prefix != group.name {
			continue
		}
		for _, stat := range group.read() {
			if stat.Name == name || group.name+":"+stat.Name == name {
				return stat.Value - s.bases[group.name+":"+stat.Name], true
			}
		}
	}
	return 0, false
}

// Commands returns the commands about statistics. Each takes names of statistics
// ("raised" or "evi:raised"), of groups ("evi:"), or "all".
func (s *Statistics) Commands() []Command {
	return []Command{
		{
			Name: "get_statistics", Alias: "statistics:get",
			Help:   "prints statistics: \"all\", a group (\"evi:\") or single ones",
			Params: [][]string{{"statistics"}},
			Run:    s.get,
		},
		{
			Name: "list_statistics", Alias: "statistics:list",
			Help:   "lists statistics and whether they can be reset",
			Params: [][]string{{}, {"statistics"}},
			Run:    s.list,
		},
		{
			Name: "reset_statistics", Alias: "statistics:reset",
			Help:   "lets incremental statistics count from 0 again",
			Params: [][]string{{"statistics"}},
			Run:    s.reset,
		},
	}
}

func (s *Statistics) get(_ context.Context, a Args) (any, error) {
	names, err := a.Texts("statistics")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	reply := members{}
	for _, stat := range s.selectLocked(names) {
		reply = append(reply, member{stat.Name, stat.number(s.bases[stat.Name])})
	}
	return reply, nil
}

func (s *Statistics) list(_ context.Context, a Args) (any, error) {
	names := []string{"all"}
	if a.Has("statistics") {
		var err error
		if names, err = a.Texts("statistics"); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	reply := members{}
	for _, stat := range s.selectLocked(names) {
		kind := "non-incremental"
		if stat.Incremental {
			kind = "incremental"
		}
		reply = append(reply, member{stat.Name, kind})
	}
	return reply, nil
}

// reset answers OK for statistics that cannot be reset, as OpenSIPS does.
func (s *Statistics) reset(_ context.Context, a Args) (any, error) {
	names, err := a.Texts("statistics")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	selected := s.selectLocked(names)
	if len(selected) == 0 {
		return nil, &Error{404, "Statistics Not Found", unknown("statistic", strings.Join(names, ", "), "list_statistics", nil)}
	}
	if s.bases == nil {
		s.bases = make(map[string]uint64)
	}
	for _, stat := range selected {
		switch {
		case !stat.Incremental:
		case stat.Reset != nil:
			stat.Reset()
		default:
			s.bases[stat.Name] = stat.Value
		}
	}
	return "OK", nil
}

// selectLocked returns the statistics with these names, under their full names,
// in the order of the names and each once. Unknown names are left out.
func (s *Statistics) selectLocked(names []string) []Statistic {
	all := s.readLocked()
	meant := make(map[string][]int) // by what a request can call them: places in all
	for i, stat := range all {
		group, single, _ := strings.Cut(stat.Name, ":")
		for _, name := range [...]string{"all", group + ":", single, stat.Name} {
			meant[name] = append(meant[name], i)
		}
	}
	var selected []Statistic
	taken := make([]bool, len(all))
	for _, name := range names {
		for _, i := range meant[name] {
			if !taken[i] {
				taken[i] = true
				selected = append(selected, all[i])
			}
		}
		delete(meant, name) // the second time it selects nothing more
	}
	return selected
}

// readLocked reads all statistics, under their full names.
func (s *Statistics) readLocked() []Statistic {
	var all []Statistic
	for _, group := range s.groups {
		for _, stat := range group.read() {
			stat.Name = group.name + ":" + stat.Name
			all = append(all, stat)
		}
	}
	return all
}

// members is an object whose members keep their order.
type members []member

type member struct {
	name  string
	value any
}

// MarshalJSON encodes the members as an object.
func (m members) MarshalJSON() ([]byte, error) {
	object := []byte{'{'}
	for i, one := range m {
		if i > 0 {
			object = append(object, ',')
		}
		var err error
		if object, err = appendJSON(object, one.name); err != nil {
			return nil, err
		}
		if object, err = appendJSON(append(object, ':'), one.value); err != nil {
			return nil, err
		}
	}
	return append(object, '}'), nil
}
