// Package fakekernel stands in for the kernel in tests: [Kernel] holds
// namespaces in memory, and [Faults] lets the next calls of any kernel, the
// real one too, fail by name.
package fakekernel
