// Package storetest has the suite that each [queue.Store] must pass, and a store in
// memory, with faults, for tests of what is above.
package storetest
