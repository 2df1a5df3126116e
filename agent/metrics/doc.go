// Package metrics is what the daemon tells of itself to monitoring: counters and times
// for Prometheus, and whether it is alive and ready.
//
// All metrics are described in one table ([Descriptions]), of which docs/metrics.md is
// generated. They are in a registry of their own. Labels have few values, which the
// table lists: no address, router, namespace or host is one.
//
// What happens is told by the rooms through small hooks ([Metrics.Looked] and the
// like), each a few atomic additions; what stands is asked for when somebody asks us
// ([Parts]). Nothing of the daemon waits for either.
package metrics
