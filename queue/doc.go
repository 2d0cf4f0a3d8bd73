// Package queue keeps events from the raise until every subscriber has had
// them. It is the [evid.Keeper].
//
// There is one list per event name. An event is numbered and appended to it
// under the list's lock, and the subscribers that had nothing to do are woken
// after that. A subscriber is a [Cursor] in the list: how many events wait for it
// is a difference of two positions, and an event is in memory once however many
// wait for it. What every cursor has passed is freed.
//
// A queue in memory holds a bounded number of events of each name. When there is no
// room the oldest is dropped: a cursor that has not passed it counts it as dropped, and
// a dead letter tells how many it has lost. Or, as configured, the raise fails. What is
// in memory is lost when the process ends.
//
// A queue on disk ([Open]) has an event in its [Store] before the raiser is told that it
// is kept, as well as who is subscribed, where each subscriber is, and dead letters. See
// DESIGN.md in this directory.
//
// What is given up for a subscriber is kept as a dead letter. To replay it its
// cursor hands it out again, before what waits; it stays a dead letter until it is
// delivered.
package queue
