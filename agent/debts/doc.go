// Package debts remembers across restarts in which namespaces announcements are
// owed: one empty file for each, named after it.
//
// The kernel shows what is answered for and not whether the neighbours were
// told. A process that ends between the two, or while an announcement waits for
// its device or its pace, would leave the upstream router with the place the
// address had before, and the next process would find everything as it should
// be. So the file is there before the first address of a namespace becomes
// answerable, and goes when nothing is owed there any more. What is in it is
// not said on purpose: whoever finds it announces what the kernel answers for
// then, which cannot be out of date.
//
// The directory belongs on a file system that a reboot empties, as it empties
// the namespaces.
package debts
