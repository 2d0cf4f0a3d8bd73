package xmlrpc

import "fmt"

// A Struct is an XML-RPC struct. Its members keep their order.
type Struct []Member

// A Member is one member of a [Struct].
type Member struct {
	Name  string
	Value any
}

// Get returns the value of the first member of this name, and whether there is one.
func (s Struct) Get(name string) (value any, found bool) {
	for _, m := range s {
		if m.Name == name {
			return m.Value, true
		}
	}
	return nil, false
}

// A Call is a method call.
type Call struct {
	Method string
	Params []Param
}

// A Param is one parameter of a [Call].
type Param struct {
	// Name is what a <name> beside the <value> says ([NameBeside]), else empty:
	// the name inside a struct of one member is part of Value.
	Name  string
	Value any
}

// A Fault is how a server answers that a call failed.
type Fault struct {
	Code   int
	String string
}

// Error returns code and text of the fault.
func (f *Fault) Error() string { return fmt.Sprintf("fault %d: %s", f.Code, f.String) }

// A MulticallResult is the answer to one call of a system.multicall.
type MulticallResult struct {
	Value any    // nil if there is a Fault
	Fault *Fault // nil if the call succeeded
}

// Names of the protocol.
const (
	multicallMethod = "system.multicall"
	multicallName   = "methodName" // members of the struct that is one inner call
	multicallParams = "params"
	faultCode       = "faultCode" // members of the struct that is a fault
	faultString     = "faultString"
)
