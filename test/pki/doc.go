// Package pki is a certification authority for tests: certificates with any
// fault that a test wants to meet, in files as programs read them.
package pki
