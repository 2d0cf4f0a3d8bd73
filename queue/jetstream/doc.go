// Package jetstream keeps the journals of a queue in NATS JetStream: in a server in this
// process, which listens nowhere, or in an external NATS.
//
// An entry is acknowledged when the server has it, with sync=always when its disk has it.
// An append that is not acknowledged in time makes the store unhealthy. It heals itself:
// the embedded server, which refuses all writes after a disk was full or failed, is
// opened again until it takes them; an external one is waited for. Reads and trims go on
// meanwhile, as far as the server can.
//
// Entries of half a kilobyte and more are compressed if that makes them shorter: what many
// events have in common takes room once for each chunk, and writing is quicker the less of
// the disk it touches.
//
// A directory, or the streams of an external NATS, has one evid at a time: a lock of the
// kernel, or a lease, sees to that.
//
// What is damaged is set aside in damaged-N in the directory, and all that is whole is
// kept: see [Store.Damage] and [Verify].
//
// Trimming gives room back in whole files of 8 MB. It needs room itself, as does saving
// what may be trimmed: that is in reserve, and is given up when the disk is full. Until
// there is room for it again, entries are taken but for those of the event log.
package jetstream
