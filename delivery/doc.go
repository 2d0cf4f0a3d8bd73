// Package delivery takes what waits in the queue to the subscribers.
//
// All subscribers of one destination share a lane: one connection, on which
// they take turns of up to 64 events. Lanes with work stand in a queue and are
// served by workers; an idle lane has no goroutine and no buffer, and keeps what
// it has learned of its destination and, for a short time, its connection.
//
// A worker is a task: while a call of an [evid.Suspender] is under way it needs no
// goroutine, and it is resumed by whoever waits for all replies. It goes on to a
// goroutine of its own before what may block: a lane of another kind, the disk, closing.
//
// # Nobody waits for another destination
//
// At most 256 workers are busy at a time. One whose call has lasted 25 ms waits for
// its peer and does not count, and when lanes wait longer than 10 ms for a worker
// there are more, up to 8192. Lanes whose calls do not last have a queue of their
// own, which is preferred: however many slow or dead destinations there are, the
// others are served in time.
//
// Within a destination a call that lasts 250 ms does not hold up the others any
// longer: they go on over another connection, of which there are three.
//
// # After a failure
//
// Who is to blame pauses: the destination, with all its subscribers; the
// subscriber; or the subscriber because of one event. A pause lasts a random time
// up to retry_min, which doubles each time up to retry_max, and at least as long
// as the subscriber asked for. Then one event is tried, and if that is delivered
// it goes on at full speed. An event that its subscriber refuses for now, or does
// not answer at all, is tried max_attempts times; others until they are older than
// max_age. Those that are given up become dead letters. A subscriber's events stay
// in order through all of it.
//
// A pause ends early when the subscriber subscribes again, and for a raise that
// waits for an attempt (modparam sync_mode).
package delivery
