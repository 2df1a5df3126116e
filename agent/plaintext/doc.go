// Package plaintext makes texts from outside fit to be shown: names and reasons may have
// been written by anybody who reaches the API, the broker or a socket, and a control
// character in them would be obeyed by the operator's terminal.
package plaintext
