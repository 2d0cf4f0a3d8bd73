// Package cachedb is what scripts count and remember with: module cachedb_local, which
// keeps keys and their values in memory.
//
// A [Store] has collections, each with keys of its own. A value is a text; one that is an
// integer in decimal is a counter, too. An entry lives until it is removed, replaced or its
// time is up; all of them end with the process. Methods can be called at the same time.
//
// An entry that has expired is never seen again, from that moment on. Its memory comes back
// with later calls on the same collection, a few entries with each, and with any call that
// needs the room.
//
// There is room for Params.MaxBytes and Params.MaxEntries, over all collections. When that
// is full, what would take more is refused, and nothing that is there is given up for it: a
// script that blocks after n events would else forget, unnoticed, whom it counted, and
// whoever can make it count new keys could choose whom. Counters that are there go on
// counting, since that needs no room, and as those of a script mostly live for seconds or
// minutes, there soon is room again. Refusals are counted in [Stats].
package cachedb
