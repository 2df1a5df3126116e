// Package explain answers why nobody answers for an address: it walks from the
// daemon and the server's object through router, host, namespace, device and kernel
// to the instance, and names the first link that is broken, and what to do.
//
// [Explainer.Explain] gathers [Facts], without writing anything anywhere; [Judge] is
// a pure function from them to an [Answer].
package explain
