// Package preflight looks, before the daemon is started or while it runs, at all that
// it depends on, and says of each thing whether it is as it has to be, and if not what
// to do: files, options, the L3 agent beside it, brokers, server, clock, user, unit,
// kernel, and who else does the same job.
//
// It has no effect. What it asks a broker and a server binds no queue and reports
// nothing; what it tries with the kernel it tries in a network namespace that nobody
// else sees (package probe); files are opened and not written.
//
// Every check stands for itself: it is bounded in time, runs beside the others, and
// one that fails hides no other. What cannot be looked at, for want of a right or of
// something that comes before, is said and is a warning.
package preflight
