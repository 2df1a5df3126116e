// Package statereport tells neutron-server that the agent is alive and what it
// does, so that `openstack network agent list` and `show` tell the operator.
package statereport
