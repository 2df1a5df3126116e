// Package probe finds out whether the kernel can do what package dataplane asks of
// it, by doing it, with the same drivers: in a network namespace of its own that has
// no name, no device but lo, and ends with the probe. Nothing else on the machine is
// touched; the kernel may load the modules that nftables needs.
package probe
