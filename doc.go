// Package evid is an event notifier for SIP platforms: the Event Interface of
// OpenSIPS. Something raises an event (E_PIKE_BLOCKED, ip=192.168.2.11); every
// server that subscribed to it is told, and evid knows that it was.
//
// # Terms
//
// They are those of OpenSIPS. An [Event] has a name and ordered parameters, each
// named or not, a string or an integer. A subscriber is an event name with a
// [Socket], "xmlrpc:127.0.0.1:8081:block_ip", and an expiry. A [Transport]
// handles the sockets of one scheme. Registering an event name makes it known;
// OpenSIPS calls that "publish", a word that means "send" elsewhere. A lane is
// the way to one destination: for all subscribers with the same scheme, host, port,
// and what else a connection depends on. It has one connection, and more only
// while a subscriber does not answer.
//
// # The way of an event
//
// [Interface.Raise] hands an event to the [Keeper] (package queue), which numbers
// it and keeps it until each subscriber has had it. Package delivery takes it
// from there to the lanes of a transport (transport/xmlrpc), which report what
// came of it as a [Result].
//
// # Guarantees
//
//  1. An OK means kept. Raise returns without an error once the event is on disk,
//     or with a queue in memory in its list, for all who were subscribed. With no
//     subscriber nothing is kept and the error is [ErrNoSubscribers]. The queue is
//     bounded: a subscriber that is further behind loses its oldest events, which are
//     counted and kept as one dead letter with their number; or, as configured, the
//     raise fails with [ErrQueueFull]. An error of the disk that says "not confirmed"
//     leaves open whether the event is kept. What is in memory is lost when the
//     process ends; what is on disk, and who is subscribed, is not.
//  2. At least once, in order. Each subscriber whose transport confirms gets its
//     events in raise order, each until it is delivered, rejected, or past the
//     attempts or the age of its [Policy]. The last three become dead letters that
//     can be listed, replayed and purged: see [DeadLetter]. An event comes twice
//     after a lost reply, or after a crash that came before it was saved that it was
//     delivered; it has an ID that tells.
//  3. Nobody waits for another destination. A destination that is dead, slow,
//     silent or hostile costs no other destination and no raiser anything.
//     Subscribers of one destination take turns on its connection; one that does
//     not answer holds up the others for a quarter of a second, as long as fewer
//     than four are silent.
//  4. Nothing is lost uncounted. See [Counts].
//  5. Bad input gets a clear error that names what, where and what was expected.
package evid
