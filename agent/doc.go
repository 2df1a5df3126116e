// Package agent is the loop: what the sources say becomes what each namespace
// should look like, is compared with what the kernel has, and only the
// difference is written; every address that became answerable is announced.
//
// Events, whether from Neutron or from the kernel, only say "look again at
// this namespace". Nothing that matters lives in here: kill it at any moment
// and the next run reads the kernel and goes on.
package agent
