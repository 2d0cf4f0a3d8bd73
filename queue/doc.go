// Package queue keeps events from the raise until every subscriber has had
// them. It is the [evid.Keeper].
//
// There is one list per event name. An event is numbered and appended to it
// under the list's lock, and the subscribers that had nothing to do are woken
// after that. A subscriber is a [Cursor] in the list: how many events wait for it
// is a difference of two positions, and an event is in memory once however many
// wait for it. What every cursor has passed is freed.
//
// A list in memory holds a bounded number of events. When it is full the oldest
// is dropped: the cursors that have not passed it are moved on, each counts it as
// dropped, and the raiser is never made to wait. What is in memory is lost when
// the process ends.
package queue
