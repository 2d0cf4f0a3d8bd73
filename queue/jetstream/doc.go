// Package jetstream keeps the journals of a queue in NATS JetStream.
package jetstream
