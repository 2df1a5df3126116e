package cleanup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// What the daemon makes in its runtime directory, see agent/debts and agent/admin.
const (
	owedDir      = "owed"
	makingSuffix = ".new"
	makingSocket = "s"
)

// systemdRuns is the parent of a runtime directory that systemd makes anew.
const systemdRuns = "/run"

// Files are what the daemon left in the file system: notes of what is owed in the
// namespaces that which names (all if it is nil), and with all of them the dead socket
// and the directories, in the order in which they can be removed. Whatever else is
// there is left alone: a note is an empty file.
func Files(runtimeDir, socket string, which []string) ([]string, error) {
	owed := filepath.Join(runtimeDir, owedDir)
	// The directory is the daemon's user's, and who cleans is root: a link is not followed.
	var notes []fs.DirEntry
	switch info, err := os.Lstat(owed); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.IsDir():
		if notes, err = os.ReadDir(owed); err != nil {
			return nil, err
		}
	}
	var files []string
	for _, n := range notes {
		info, err := n.Info()
		if err == nil && info.Mode().IsRegular() && info.Size() == 0 && (which == nil || slices.Contains(which, n.Name())) {
			files = append(files, filepath.Join(owed, n.Name()))
		}
	}
	if which != nil {
		return files, nil
	}
	add := func(path string, kind fs.FileMode) {
		if info, err := os.Lstat(path); err == nil && info.Mode().Type() == kind {
			files = append(files, path)
		}
	}
	add(owed, fs.ModeDir)
	if socket != "" {
		add(socket, fs.ModeSocket)
		add(filepath.Join(socket+makingSuffix, makingSocket), fs.ModeSocket)
		add(socket+makingSuffix, fs.ModeDir)
	}
	// Elsewhere it is the operator's, who has to make it for the daemon's user.
	if filepath.Dir(filepath.Clean(runtimeDir)) == systemdRuns {
		add(runtimeDir, fs.ModeDir)
	}
	return files, nil
}

// RemoveFile removes one of [Files]. A directory in which something of somebody else
// is left stays.
func RemoveFile(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		left, err := os.ReadDir(path)
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return nil
		}
	}
	return os.Remove(path)
}
