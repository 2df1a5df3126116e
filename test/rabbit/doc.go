// Package rabbit starts private RabbitMQ brokers for tests, from Debian's
// package rabbitmq-server: own ports, own data directory, own epmd, loopback
// only. Nothing of the system's own broker is touched.
//
// Starting one takes some seconds, so a test package starts one in TestMain
// ([New]) or shares one between its tests, and gives each test a virtual host
// of its own ([Broker.VHost]).
//
// The processes are stopped by their pids, and by the kernel if the test binary
// dies (PR_SET_PDEATHSIG).
package rabbit
