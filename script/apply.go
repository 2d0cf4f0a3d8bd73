package script

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/evid/evid/modparam"
)

// A Schema is what a configuration can speak of.
type Schema struct {
	Globals []modparam.Param
	Modules []Module
	// Ignored are the globals of OpenSIPS that have no effect here, with the
	// reason: they are a warning.
	Ignored map[string]string
	// OutsideGlobals are the globals of OpenSIPS that are not here, and Outside the
	// modules, with the reason: they are an error.
	OutsideGlobals, Outside map[string]string
}

// A Module is what loadmodule can name.
type Module struct {
	Name   string
	Params []modparam.Param
	Always bool // loaded without a loadmodule
	// Ignored are the parameters of OpenSIPS' module that have no effect here, with the
	// reason: they are a warning. AllParams stands for those that are not named.
	Ignored map[string]string
}

// AllParams is in place of the name of a parameter.
const AllParams = "*"

// Apply assigns what the file says to the globals and to the parameters of the
// modules. It returns the names of the modules loaded, those that always are
// first, then in the order of the file.
//
// A module may be named "x", "x.so" or with any directory. Unlike in OpenSIPS a
// modparam may stand before its loadmodule, and loading a module twice is a
// warning. Modparams of a module whose loadmodule was refused are passed over.
// In modparam("a|b", …) one loaded module is enough; the others are a warning.
//
// An error is always of type [Errors] and holds those of parsing too: who wants
// all of them at once need not look at the error of [Parse]. After an error the
// parameters are partly assigned.
func (f *File) Apply(s Schema) (loaded []string, warnings Errors, err error) {
	b := &binder{
		schema:  s,
		errs:    errorList{errs: slices.Clone(f.errs.errs), more: f.errs.more},
		refused: map[string]bool{},
	}
	for _, m := range s.Modules {
		if m.Always {
			b.loaded = append(b.loaded, m.Name)
		}
	}
	for _, stmt := range f.Stmts {
		switch stmt := stmt.(type) {
		case *LoadModule:
			b.loadModule(stmt)
		case *Global:
			b.global(stmt)
		}
	}
	for _, stmt := range f.Stmts {
		if stmt, ok := stmt.(*ModParam); ok {
			b.modParam(stmt)
		}
	}
	return b.loaded, b.warnings.sorted(), b.errs.err()
}

// A binder applies one file.
type binder struct {
	schema   Schema
	loaded   []string
	refused  map[string]bool // modules whose loadmodule was an error
	errs     errorList
	warnings errorList
}

func (b *binder) loadModule(l *LoadModule) {
	name := moduleName(l.Module.Value)
	switch {
	case b.isLoaded(name):
		b.warnings.add(l.Module.Pos, "module %s is loaded already: this line has no effect", name)
	case b.module(name) != nil:
		b.loaded = append(b.loaded, name)
	case b.schema.Outside[name] != "":
		b.refused[name] = true
		b.errs.add(l.Module.Pos, "module %s is not supported: %s", name, b.schema.Outside[name])
	default:
		b.refused[name] = true
		b.errs.add(l.Module.Pos, "unknown module %q: %s", name, known(name, b.moduleNames()))
	}
}

// moduleName is the name in what loadmodule was given: /usr/lib/x.so is x.
func moduleName(file string) string {
	return strings.TrimSuffix(file[strings.LastIndexByte(file, '/')+1:], ".so")
}

func (b *binder) global(g *Global) {
	err := assign(b.schema.Globals, g.Name, g.Value)
	if !errors.Is(err, modparam.ErrUnknown) {
		if err != nil {
			b.errs.add(g.Value.Position(), "%v", err)
		}
		return
	}
	if reason := b.schema.Ignored[g.Name]; reason != "" {
		b.warnings.add(g.Pos, "%s has no effect: %s", g.Name, reason)
		return
	}
	if reason := b.schema.OutsideGlobals[g.Name]; reason != "" {
		b.errs.add(g.Pos, "global %s is not supported: %s", g.Name, reason)
		return
	}
	b.errs.add(g.Pos, "unknown global %q: %s", g.Name, known(g.Name, paramNames(b.schema.Globals)))
}

func (b *binder) modParam(m *ModParam) {
	var missing []string
	found := false
	for name := range strings.SplitSeq(m.Module.Value, "|") {
		switch {
		case b.refused[name]:
			found = true
		case b.isLoaded(name):
			found = true
			b.modParamOf(b.module(name), m)
		default:
			missing = append(missing, name)
		}
	}
	for _, name := range missing {
		if found {
			b.warnings.add(m.Module.Pos, "module %q is not loaded: nothing is set in it", name)
		} else {
			b.errs.add(m.Module.Pos, "module %q is not loaded: %s", name, b.whyNotLoaded(name))
		}
	}
}

// whyNotLoaded says what to do about a modparam whose module is not loaded.
func (b *binder) whyNotLoaded(name string) string {
	if b.module(name) != nil {
		return `add loadmodule "` + name + `.so"`
	}
	if reason := b.schema.Outside[name]; reason != "" {
		return reason
	}
	return known(name, b.moduleNames())
}

func (b *binder) modParamOf(module *Module, m *ModParam) {
	err := assign(module.Params, m.Param.Value, m.Value)
	if errors.Is(err, modparam.ErrUnknown) {
		if reason := cmp.Or(module.Ignored[m.Param.Value], module.Ignored[AllParams]); reason != "" {
			b.warnings.add(m.Param.Pos, "%s of %s has no effect: %s", m.Param.Value, module.Name, reason)
			return
		}
		b.errs.add(m.Param.Pos, "module %s has no parameter %q: %s",
			module.Name, m.Param.Value, known(m.Param.Value, paramNames(module.Params)))
		return
	}
	if err != nil {
		b.errs.add(m.Value.Position(), "%s: %v", module.Name, err)
	}
}

func (b *binder) isLoaded(name string) bool { return slices.Contains(b.loaded, name) }

// module returns the module of this name, nil when there is none.
func (b *binder) module(name string) *Module {
	i := slices.IndexFunc(b.schema.Modules, func(m Module) bool { return m.Name == name })
	if i < 0 {
		return nil
	}
	return &b.schema.Modules[i]
}

func (b *binder) moduleNames() []string {
	var names []string
	for _, m := range b.schema.Modules {
		names = append(names, m.Name)
	}
	return names
}

func paramNames(params []modparam.Param) []string {
	var names []string
	for _, p := range params {
		names = append(names, p.Name)
	}
	return names
}

// assign assigns a value as it was written.
func assign(params []modparam.Param, name string, v Value) error {
	switch v := v.(type) {
	case *Integer:
		return modparam.Assign(params, name, strconv.FormatInt(v.Value, 10), modparam.Integer)
	case *String:
		return modparam.Assign(params, name, v.Value, modparam.Text)
	default:
		return modparam.Assign(params, name, v.String(), modparam.Text)
	}
}

// known ends the message about an unknown word with the names that are known.
func known(word string, names []string) string {
	if len(names) == 0 {
		return "there are none"
	}
	slices.Sort(names)
	return didYouMean(word, names) + "known are " + strings.Join(names, ", ")
}
