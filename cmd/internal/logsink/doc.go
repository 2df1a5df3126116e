// Package logsink keeps the log from stopping the program. Whoever logs never
// waits for what is written to, and never learns that it failed: a disk may be
// full, read-only or dead, and a pipe may have nobody who reads it. Lines wait in
// a bounded queue meanwhile; what does not fit is lost and counted, and the first
// line that can be written again is preceded by one that says how many were lost,
// and why.
package logsink
