// Package pulse tells whether the daemon still makes progress.
//
// What works for a while, or turns in a loop, promises when it will be done or be
// back, and says so when it is. A promise that is overdue names what is stuck. Whoever
// waits for the outside (a broker, an event) has promised nothing: waiting is not
// being stuck.
package pulse
