// Package reconcile schedules work by key: an event only says "look again at
// this key", and however many events come, a key waits once, runs once at a
// time, and runs again if something came while it ran. Failures come back with
// back-off and jitter, each key on its own. An event goes before audits, and
// cuts a back-off short.
package reconcile
