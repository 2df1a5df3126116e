// Package netns opens named network namespaces and runs code inside them.
//
// It has three duties and no policy: to tell a namespace that is gone from one
// that is only half made ([ErrGone], [ErrNotReady]); to tell two namespaces of
// one name apart ([ID]); and to never let an operating system thread that sits
// in the wrong namespace serve another goroutine ([Handle.Do]).
package netns
