// Package file is the source that needs no cloud: a small strict YAML file
// lists namespaces, devices, internal subnets and published addresses. It is
// read at start and again whenever it changes; a file that can't be read or
// understood changes nothing and says so. It knows devices that route on by
// themselves, and no way to say of a router that it is in another namespace
// behind a pair of devices (inventory.Inner), nor of places of ports.
package file
