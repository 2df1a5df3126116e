// Package link lists the interfaces of a namespace and their addresses.
package link
