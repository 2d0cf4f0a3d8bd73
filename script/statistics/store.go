package statistics

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/evid/evid/mi"
)

// Limits.
const (
	MaxName      = 64 // bytes of a name without its group, and of a group
	MaxVariables = 10_000
	maxGroups    = 100
)

// ErrFull is what the error of a call wraps that would have made one variable too many.
var ErrFull = fmt.Errorf("there are %d statistics of the script already, as many as there can be", MaxVariables)

// A Store is the variables of one process.
type Store struct {
	groups []*group // as lists have them
	script *group
	other  *group // dynamic

	mu    sync.RWMutex // of what follows and the contents of groups, not of values
	count int
}

type group struct {
	name   string
	byName map[string]*variable
	all    []*variable // the oldest first
}

type variable struct {
	name    string // without its group
	noReset bool
	value   atomic.Int64
}

func (v *variable) reset() {
	if !v.noReset {
		v.value.Store(0)
	}
}

// New returns a Store with the variables of the parameters. None of its groups can have the
// name of one that evid has itself. An error says what is wrong with the parameters.
func New(p Params, reserved ...string) (*Store, error) {
	s := new(Store)
	for _, name := range append([]string{groupScript, groupDynamic}, p.Groups...) {
		if slices.Contains(reserved, name) {
			return nil, fmt.Errorf("add group %q: evid has statistics of its own there", name)
		}
		s.groups = append(s.groups, &group{name: name, byName: make(map[string]*variable)})
	}
	s.script, s.other = s.groups[0], s.groups[1]
	for _, v := range p.Variables {
		if err := s.add(v); err != nil {
			return nil, fmt.Errorf("add statistic %q: %w", v.Name, err)
		}
	}
	return s, nil
}

// add adds a variable of the parameters.
func (s *Store) add(of Variable) error {
	g, short, err := s.parse(of.Name)
	if err != nil {
		return err
	}
	if g == nil {
		g = s.script
	}
	if g.byName[short] != nil {
		return errors.New("it is there already")
	}
	v, err := s.makeLocked(g, short)
	if err != nil {
		return err
	}
	v.noReset = of.NoReset
	return nil
}

// parse checks a name. The group is nil if it names none.
func (s *Store) parse(name string) (g *group, short string, err error) {
	prefix, short := split(name)
	if len(short) < len(name) {
		if g = s.group(prefix); g == nil {
			return nil, "", fmt.Errorf("there is no group %.100q for statistics of the script: add it to stat_groups; there are %s", prefix, s.groupNames())
		}
	}
	return g, short, checkName(short)
}

func (s *Store) group(name string) *group {
	for _, g := range s.groups {
		if g.name == name {
			return g
		}
	}
	return nil
}

func (s *Store) groupNames() string {
	names := make([]string, len(s.groups))
	for i, g := range s.groups {
		names[i] = g.name
	}
	return strings.Join(names, ", ")
}

// Update adds n to a variable. One that is not there begins with 0; with n = 0 it is not
// made, as in OpenSIPS. The error is about the name, or wraps [ErrFull].
func (s *Store) Update(name string, n int64) error {
	if n == 0 {
		_, _, err := s.parse(name)
		return err
	}
	v, err := s.open(name)
	if err == nil {
		v.value.Add(n)
	}
	return err
}

// Reset lets a variable count from 0 again, unless it is one that cannot be reset. One that
// is not there is made. The error is about the name, or wraps [ErrFull].
func (s *Store) Reset(name string) error {
	v, err := s.open(name)
	if err == nil {
		v.reset()
	}
	return err
}

// Value returns the value of a variable, and whether there is one of this name.
func (s *Store) Value(name string) (n int64, known bool) {
	var g *group
	prefix, short := split(name)
	if len(short) < len(name) {
		if g = s.group(prefix); g == nil {
			return 0, false
		}
	}
	s.mu.RLock()
	v := s.findLocked(g, short)
	s.mu.RUnlock()
	if v == nil {
		return 0, false
	}
	return v.value.Load(), true
}

// open returns a variable, and makes it if it is not there.
func (s *Store) open(name string) (*variable, error) {
	g, short, err := s.parse(name)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	v := s.findLocked(g, short)
	s.mu.RUnlock()
	if v != nil {
		return v, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.findLocked(g, short); v != nil {
		return v, nil
	}
	if g == nil {
		g = s.other
	}
	return s.makeLocked(g, short)
}

// findLocked returns nil if there is none.
func (s *Store) findLocked(g *group, short string) *variable {
	if g != nil {
		return g.byName[short]
	}
	if v := s.script.byName[short]; v != nil {
		return v
	}
	return s.other.byName[short]
}

func (s *Store) makeLocked(g *group, short string) (*variable, error) {
	if s.count == MaxVariables {
		return nil, ErrFull
	}
	s.count++
	v := &variable{name: strings.Clone(short)} // it may be a piece of something large
	g.byName[v.name] = v
	g.all = append(g.all, v)
	return v, nil
}

// AddTo adds the groups to what MI shows.
func (s *Store) AddTo(to *mi.Statistics) {
	for _, g := range s.groups {
		to.Add(g.name, func() []mi.Statistic { return s.read(g) })
	}
	to.AddFinder(func(name string) (uint64, bool) {
		n, known := s.Value(name)
		return uint64(n), known
	})
}

func (s *Store) read(g *group) []mi.Statistic {
	s.mu.RLock()
	defer s.mu.RUnlock()
	stats := make([]mi.Statistic, len(g.all))
	for i, v := range g.all {
		stats[i] = mi.Statistic{
			Name: v.name, Value: uint64(v.value.Load()), Signed: true,
			Incremental: !v.noReset, Reset: v.reset,
		}
	}
	return stats
}
