// Package secret holds passwords so that no way of printing shows them. It is
// the one type for them: between rooms a password travels as it is, and is
// revealed where it is sent.
package secret
