// Package admin is the control socket: a Unix stream socket at which the daemon
// answers questions about itself, in HTTP and JSON, and the client that asks them.
//
// GET /v1/status answers a [Status]; what else there is comes with [Options]. Within v1 fields are added
// and never renamed, removed or given another meaning.
//
// Whoever may open the socket may ask: its mode is 0660, from its first moment on. The
// daemon's work neither waits for the socket nor for anybody who is connected to it.
// What cannot be listened on is said once and tried again.
package admin
