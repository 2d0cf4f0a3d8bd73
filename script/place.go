package script

import (
	"slices"
	"strings"
)

// What is wrong with a configuration is found in part only when all of it is known. Then
// these say where it stands in the file. The zero Pos says that it is not there.

// GlobalPos returns where each value of a global stands, in the order of the file.
func (f *File) GlobalPos(name string) []Pos {
	var all []Pos
	for _, stmt := range f.Stmts {
		if g, ok := stmt.(*Global); ok && g.Name == name {
			all = append(all, g.Value.Position())
		}
	}
	return all
}

// ModulePos returns where a module is loaded.
func (f *File) ModulePos(module string) Pos {
	for _, stmt := range f.Stmts {
		if l, ok := stmt.(*LoadModule); ok && moduleName(l.Module.Value) == module {
			return l.Module.Pos
		}
	}
	return Pos{}
}

// ParamPos returns where the value of a module's parameter stands, the last one if it is
// set several times.
func (f *File) ParamPos(module, param string) Pos {
	for _, stmt := range slices.Backward(f.Stmts) {
		m, ok := stmt.(*ModParam)
		if ok && m.Param.Value == param && slices.Contains(strings.Split(m.Module.Value, "|"), module) {
			return m.Value.Position()
		}
	}
	return Pos{}
}
