package main

import (
	"os"
	"os/exec"
	"runtime"
	"sort"
	"testing"
	"time"
)

// BenchmarkStart runs the command and iproute2's ip by turns, in one namespace,
// from start to end: ndsend announces an address, ip lists the interface's
// neighbours, which are as many questions to the kernel. The ratio of the
// medians is what counts; single runs differ by half of themselves.
func BenchmarkStart(b *testing.B) {
	l := newLink(b)
	l.up(b)
	ndsend := installed(b, build(b))
	ip, err := exec.LookPath("ip")
	if err != nil {
		b.Skip("no ip to compare with")
	}
	// The thread that starts the processes is in the namespace, so that what
	// enters it is not measured. It is never unlocked, so it ends with us.
	runtime.LockOSThread()
	if err := enterNamespace(l.ours); err != nil {
		b.Fatal(err)
	}
	programs := []struct {
		name string
		line []string
		took []time.Duration
	}{
		{name: "ndsend", line: []string{ndsend, "2001:db8::5", "qg-1"}},
		{name: "ip", line: []string{ip, "-6", "neighbour", "show", "dev", "qg-1"}},
	}
	for b.Loop() {
		for i := range programs {
			p := &programs[i]
			start := time.Now()
			cmd := exec.Command(p.line[0], p.line[1:]...)
			if err := cmd.Run(); err != nil {
				b.Fatalf("%v: %v", p.line, err)
			}
			p.took = append(p.took, time.Since(start))
		}
	}
	median := func(all []time.Duration) float64 {
		sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
		return float64(all[len(all)/2].Microseconds())
	}
	ours, theirs := median(programs[0].took), median(programs[1].took)
	b.ReportMetric(ours, "ndsend-µs")
	b.ReportMetric(theirs, "ip-µs")
	b.ReportMetric(ours/theirs, "ndsend/ip")
}

// installed copies a program as install(1) does. The linker's own file, which it
// writes page by page, has small pages in the kernel's cache, and each start of
// it takes a tenth longer.
func installed(b *testing.B, built string) string {
	program, err := os.ReadFile(built)
	if err != nil {
		b.Fatal(err)
	}
	path := built + "-installed"
	if err := os.WriteFile(path, program, 0o755); err != nil {
		b.Fatal(err)
	}
	return path
}
