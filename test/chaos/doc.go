// Package chaos does to the daemon what its surroundings do to it in bad days,
// and judges what becomes of it: the real program, built with the race detector,
// as a process with a configuration of its own, before a real RabbitMQ, on the
// real kernel in throw-away namespaces. The cloud is test/sim's: its model, its
// imitation of the L3 agent and its oracle; neutron-server is
// rpc/neutron/neutrontest, which answers from that model and tells over the
// broker what changes in it.
//
// Everything is in test files with the build tag rabbitmq (make rabbitmq runs
// them, as root).
//
//	go test -race -tags rabbitmq ./test/chaos                        # some 3 minutes
//	go test -race -tags rabbitmq ./test/chaos -run 'TestFaults/broker/broker_killed'
//	go test -race -tags rabbitmq ./test/chaos -run TestMixed -chaos.budget=1h -timeout 2h
//	go test ... -run TestMixed -chaos.race=false                     # without the detector's own memory
//	go test ... -run TestMixed -chaos.seed=4711                      # the same faults again
//
// # Faults
//
// A [fault] has a name, a way to break something (do) and one to mend it (undo),
// and the bound within which all is right afterwards. [groups] lists them all: a
// new kind is a function that returns a list of them, added there. TestFaults
// tries each once, a group on one [stage]; TestMixed random ones for the budget.
//
//	{name: "entries flushed",
//		do:     func(s *stage, t *testing.T) { s.host.Namespace(s.victim.namespace).Run(...) },
//		within: audit + 3*time.Second, hits: []string{"victim"}},
//
// [stage.survive] runs one: all must be right before; do; Neutron publishes and
// withdraws an address of each router meanwhile (churn); the daemon's log must
// have a line like shows; hold; undo; and then
//
//   - within the bound the kernel is as the model says (sim's oracle);
//   - nothing of others is touched: proxy entries, routes, rules, tables and
//     sysctls that were planted beside ours (plant), and all that the imitated L3
//     agent made;
//   - what the fault does not hit (hits) lost no packet: numbered UDP datagrams
//     from the link and from behind the upstream every few milliseconds, all the
//     time, and pings; and no datagram ever reached an address that is not
//     published, though the upstream needs not ask for it;
//   - memory, threads and file descriptors of the process have not grown, and its
//     log has at most linesPerMinute lines a minute. Goroutines can be counted
//     only by ending the process (SIGQUIT), which the tests do at their end;
//   - the process neither ended by itself nor met a data race.
//
// Faults of the kernel (kernel_*_test.go) hit the victim, and some the dvr part. A
// fault that takes our filter away says so (opens): what it hits may be reached
// until the filter is back, and not a moment longer. Where Neutron is still (still),
// nothing but the kernel's events and audits can tell. The wall clock that the
// daemon sees is set by a file ([setClock]): it is built with another time.Now.
//
// # Stage
//
// A [stage] is one host (dvr_snat) with three routers ([part]): legacy, dvr and
// victim. Each has a steady address that is published all the time and carries
// traffic, a mover that [stage.churn] toggles, and a hidden one that is never
// published. Useful to faults: s.host.Namespace(p.namespace), p.device (qg- or
// fg-), s.daemon (pid, signal, kill, stop, since), s.start, s.root (the network
// namespace that the process is in), s.dir (its log and runtime_dir, "run"),
// s.host.DeleteNamespace, DeleteDevice, Rebuild and Refresh (what the L3 agent
// does), s.proxy, s.broker and s.neutron (rpc). Faults draw no random numbers of
// their own, so that a seed means the same again.
package chaos
