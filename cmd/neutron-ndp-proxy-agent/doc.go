// Command neutron-ndp-proxy-agent publishes IPv6 addresses of OpenStack
// Neutron's NDP proxies on one network or compute node. It reads the
// operator's own neutron.conf and l3_agent.ini and one file of its own; see
// neutron-ndp-proxy-agent(8).
package main
