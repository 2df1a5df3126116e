package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"neutron-ndp-proxy-agent/dataplane/filter"
)

// open is the first half of the filter's change.
func (a *applier) open(ctx context.Context) error {
	f := a.changes.Filter
	if f.Open == nil {
		return nil
	}
	if err := a.write(ctx, f.Base, *f.Open); err != nil {
		if ctx.Err() != nil {
			return err
		}
		a.closed = true
		a.fail("", netip.Addr{}, opFilter, err)
	}
	return nil
}

// closeFilter is the second half.
func (a *applier) closeFilter(ctx context.Context) error {
	f := a.changes.Filter
	if f.Close == nil {
		return nil
	}
	if a.closed || a.hold {
		a.fail("", netip.Addr{}, opFilter, ErrHeldBack)
		return nil
	}
	base := f.Base
	if f.Open != nil {
		base = f.Open
	}
	if err := a.write(ctx, base, *f.Close); err != nil {
		if ctx.Err() != nil {
			return err
		}
		a.fail("", netip.Addr{}, opFilter, err)
	}
	return nil
}

// write makes the table the target's. An error of the transaction does not say
// that it was not applied, so the kernel is asked; if it was not, the table is
// written whole once, which needs no knowledge of what is there.
func (a *applier) write(ctx context.Context, base *filter.Content, target filter.Content) error {
	err := a.transact(ctx, base, target)
	if err != nil && ctx.Err() == nil && Classify(err) == ClassRetry {
		a.d.log.Debug("writing the filter again, whole", zap.String("namespace", a.changes.Namespace), zap.Error(err))
		err = a.transact(ctx, nil, target)
	}
	if err == nil {
		a.d.memory.learn(a.changes.Namespace, a.changes.ID, func(b *Baseline) {
			delays := make(map[string]time.Duration, len(target.Devices))
			for _, d := range target.Devices {
				delays[d.Name] = d.OriginalDelay
			}
			*b = b.managing(delays)
			b.Filter = &target
		})
	}
	return err
}

func (a *applier) transact(ctx context.Context, base *filter.Content, target filter.Content) error {
	a.res.Writes++
	err := a.s.WriteFilter(ctx, a.d.table, base, target)
	if err != nil && ctx.Err() != nil {
		return err
	}
	found, readErr := a.s.ReadFilter(ctx, a.d.table, false)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	if found.Holds(target) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", filter.ErrIncomplete, found.Problem)
}
