package filter

import "context"

// Remake is the last resort of [Write].
func Remake(fd int, table string, target Content) error {
	return commit(fd, table, func(tx *transaction) { tx.remake(target) })
}

// KernelCounts reports whether the kernel tells how many elements sets have
// (Linux 6.16).
func KernelCounts(ctx context.Context, fd int, table string) (bool, error) {
	r, err := newReader(ctx, fd, table)
	if err != nil {
		return false, err
	}
	defer r.close()
	sets, err := r.sets()
	return sets[setRecord].count != unknownCount, err
}
