package watch

import (
	"context"
	"fmt"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
)

// directory turns inotify events of the directory of namespaces into scans. It
// is a hint only: the mount that completes a namespace makes no such event, and
// the directory may not exist yet, or be made anew.
func (w *Watcher) directory(ctx context.Context) error {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		// Out of inotify instances: rescans still find everything.
		w.log.Warn("no inotify; namespaces are found by scanning only",
			zap.Duration("interval", w.opts.Rescan), zap.Error(err))
		<-ctx.Done()
		return ctx.Err()
	}
	defer func() { _ = notify.Close() }() // read-only
	ticker := time.NewTicker(w.opts.Rescan)
	defer ticker.Stop()
	w.attach(notify)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			w.attach(notify)
		case _, ok := <-notify.Events:
			if !ok {
				return fmt.Errorf("inotify of %s ended", w.opts.NetnsDir)
			}
			w.table.poke()
		case err, ok := <-notify.Errors:
			if !ok {
				return fmt.Errorf("inotify of %s ended", w.opts.NetnsDir)
			}
			w.log.Info("inotify lost events; scanning", zap.Error(err))
			w.table.poke()
		}
	}
}

// attach watches the directory, again if it went.
func (w *Watcher) attach(notify *fsnotify.Watcher) {
	if len(notify.WatchList()) > 0 {
		return
	}
	if err := notify.Add(w.opts.NetnsDir); err != nil {
		w.log.Debug("directory of namespaces cannot be watched yet", zap.String("directory", w.opts.NetnsDir), zap.Error(err))
		return
	}
	w.table.poke()
}
