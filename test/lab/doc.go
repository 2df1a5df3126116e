// Package lab drives a real Neutron (server, L3 agent, Linux bridge agent, RabbitMQ, MariaDB of
// Debian 12) that the scripts beside it start in namespaces of their own, and the daemon under test
// beside it.
//
// Tests call Main from TestMain: it brings the lab up and runs the tests inside its namespaces, so
// that they see the lab's loopback and /run/netns as a process on that network node would.
package lab
