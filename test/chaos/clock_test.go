//go:build rabbitmq

package chaos

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// No test may set this machine's clock. So the daemon is built with another
// time.Now: it adds to the wall clock, and to that alone, a number of seconds that
// is mapped from a file.
const (
	clockSource = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var chaosClock = mapChaosClock()

func mapChaosClock() *int64 {
	path, ok := syscall.Getenv("` + clockVariable + `")
	if !ok {
		return new(int64)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic("clock of the chaos suite: " + err.Error())
	}
	b, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("clock of the chaos suite: " + err.Error())
	}
	_ = syscall.Close(fd)
	return (*int64)(unsafe.Pointer(&b[0]))
}

func chaosNow() (sec int64, nsec int32, mono int64) {
	sec, nsec, mono = runtimeNow()
	return sec + atomic.LoadInt64(chaosClock), nsec, mono
}
`
	clockBefore = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	clockAfter  = "func Now() Time {\n\tsec, nsec, mono := chaosNow()\n"
)

// overlay writes what go build -overlay takes, and returns its file's name.
func overlay(dir string) (string, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	std := filepath.Join(strings.TrimSpace(string(out)), "src", "time")
	original, err := os.ReadFile(filepath.Join(std, "time.go"))
	if err != nil {
		return "", err
	}
	if strings.Count(string(original), clockBefore) != 1 {
		return "", fmt.Errorf("this version of Go has another time.Now than the one that is replaced here")
	}
	replace := map[string]string{}
	for name, text := range map[string]string{
		"time.go":        strings.Replace(string(original), clockBefore, clockAfter, 1),
		"chaos_clock.go": clockSource,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(std, name)] = path
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, text, 0o600)
}

func nativeInt64(n int64) []byte { return binary.NativeEndian.AppendUint64(nil, uint64(n)) } // #nosec G115 -- the same bits
