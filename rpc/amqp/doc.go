// Package amqp keeps one connection to RabbitMQ (AMQP 0-9-1) alive and makes
// everything that crosses it bounded in time.
//
// A [Conn] dials the endpoints in turn, with back-off and jitter, for as long
// as its Run runs. On every connection it sets up each [Subscription] anew
// (exchanges as they exist, our own queue, bindings, purge, consume) and
// restarts it alone when only its queue or channel went away.
//
// The library below can wait for ever on a peer that stopped talking, so every
// synchronous exchange has a budget: when it runs out, the socket is closed,
// which fails the exchange, ends the session and starts the next attempt.
// Writes carry a deadline for the same reason.
//
// Failures are logged once per change, by broker ("host:port"); attempts are
// counted, not logged. Credentials are of type [secret.Text] and appear nowhere.
package amqp
