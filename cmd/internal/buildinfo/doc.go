// Package buildinfo says which build of the project a binary is: version,
// commit and date, as the Go tool chain stamps them into the binary or as the
// linker was told.
package buildinfo
