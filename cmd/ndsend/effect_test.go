package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fixed gives qg-1 a link-layer address and the link-local one that is made of
// it, so that frames can be compared with what was written down.
func (l link) fixed(t *testing.T) {
	t.Helper()
	ip(t, "-n", l.ours, "link", "set", "qg-1", "address", "fa:16:3e:01:02:03")
	l.exec(t, "sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/qg-1/accept_dad")
	l.up(t)
}

const fixedDump = `# 2001:db8:0:1::5 on qg-1: unsolicited Neighbor Advertisement, flags override, router
# 2 copies, 1s apart
# Ethernet fa:16:3e:01:02:03 to 33:33:00:00:00:01, IPv6 fe80::f816:3eff:fe01:203 to ff02::1, hop limit 255
# ICMPv6 type 136: 2001:db8:0:1::5 is at fa:16:3e:01:02:03
000000  33 33 00 00 00 01 fa 16 3e 01 02 03 86 dd 60 00
000010  00 00 00 20 3a ff fe 80 00 00 00 00 00 00 f8 16
000020  3e ff fe 01 02 03 ff 02 00 00 00 00 00 00 00 00
000030  00 00 00 00 00 01 88 00 39 29 a0 00 00 00 20 01
000040  0d b8 00 00 00 01 00 00 00 00 00 00 00 05 02 01
000050  fa 16 3e 01 02 03

`

// A dry run shows the golden bytes without CAP_NET_RAW, and they are those that
// a capture on the other end has when the same line is run without --dry-run.
func TestDryRun(t *testing.T) {
	l := newLink(t)
	l.fixed(t)
	ndsend := build(t)
	line := []string{ndsend, "--count", "2", "--flags", "o,r", "2001:db8:0:1::5", "qg-1"}
	unprivileged := []string{"setpriv", "--bounding-set", "-all", "--inh-caps", "-all"}
	dry := l.exec(t, append(append(unprivileged, line...), "--dry-run")...)
	if diff := cmp.Diff(outcome{Stdout: fixedDump}, dry); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
	var object struct{ Frame string }
	got := l.exec(t, append(line, "--dry-run", "--json")...)
	if err := json.Unmarshal([]byte(got.Stdout), &object); err != nil {
		t.Fatalf("%v in %+v", err, got)
	}
	shown := dumped(t, fixedDump)
	if len(shown) != 86 || object.Frame != hex.EncodeToString(shown) {
		t.Errorf("the object has %s, the dump %x", object.Frame, shown)
	}

	captured := l.capture(t, 2, func() {
		if got := l.exec(t, line...); got != (outcome{}) {
			t.Errorf("outcome %+v", got)
		}
	})
	for _, frame := range captured {
		if diff := cmp.Diff(object.Frame, hex.EncodeToString(frame)); diff != "" {
			t.Errorf("frame (-shown +captured):\n%s", diff)
		}
	}
}

// dumped are the bytes of a dump.
func dumped(t *testing.T, dump string) []byte {
	t.Helper()
	var frame []byte
	for line := range strings.Lines(dump) {
		if _, bytes, ok := strings.Cut(line, "  "); ok && !strings.HasPrefix(line, "#") {
			part, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(bytes), " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			frame = append(frame, part...)
		}
	}
	return frame
}

// capture returns the advertisements that tcpdump, somebody else's eyes, sees
// at the other end while fn runs.
func (l link) capture(t *testing.T, count int, fn func()) [][]byte {
	t.Helper()
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Skip("no tcpdump here to see what leaves")
	}
	path := filepath.Join(t.TempDir(), "frames.pcap")
	cmd := exec.Command("ip", "netns", "exec", l.upstream, "tcpdump", "-Z", "root", "--immediate-mode", "-Uni", "up0",
		"-c", strconv.Itoa(count), "-w", path, "icmp6 and ip6[40] == 136 and ip6 dst ff02::1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		// It writes the header of the file when it listens.
		if info, err := os.Stat(path); err == nil && info.Size() >= 24 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("tcpdump does not begin")
		}
	}
	fn()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("tcpdump: %v: %s", err, &stderr)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var frames [][]byte
	for rest := file[24:]; len(rest) >= 16; {
		size := int(rest[8]) | int(rest[9])<<8 // little endian, as this machine's
		frames = append(frames, rest[16:16+size])
		rest = rest[16+size:]
	}
	if len(frames) != count {
		t.Fatalf("%d frames captured, want %d", len(frames), count)
	}
	return frames
}

// Wireshark's tools read the dump, comments and all, and find nothing wrong.
func TestText2pcap(t *testing.T) {
	for _, tool := range []string{"text2pcap", "tshark"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s here: its opinion is not asked for", tool)
		}
	}
	dir := t.TempDir()
	dump, pcap := filepath.Join(dir, "dump"), filepath.Join(dir, "pcap")
	if err := os.WriteFile(dump, []byte(fixedDump+fixedDump), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("text2pcap", dump, pcap).CombinedOutput(); err != nil {
		t.Fatalf("text2pcap: %v: %s", err, out)
	}
	out, err := exec.Command("tshark", "-r", pcap, "-T", "fields", "-e", "icmpv6.type", "-e", "icmpv6.checksum.status",
		"-e", "ipv6.hlim", "-e", "icmpv6.nd.na.target_address", "-e", "icmpv6.opt.linkaddr").Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	const frame = "136\t1\t255\t2001:db8:0:1::5\tfa:16:3e:01:02:03\n"
	if diff := cmp.Diff(frame+frame, string(out)); diff != "" {
		t.Errorf("tshark (-want +got):\n%s", diff)
	}
}

// --netns goes where ip netns exec goes, by name and by path, and says what is
// wrong where it can't.
func TestNetns(t *testing.T) {
	l := newLink(t)
	l.fixed(t)
	ndsend := build(t)
	run := func(args ...string) outcome {
		t.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		var o outcome
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		_ = cmd.Run() // the exit code tells
		o.Code, o.Stdout, o.Stderr = cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
		return o
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const why = "ndsend: cannot enter the network namespace "
	for _, c := range []struct {
		name   string
		prefix []string
		netns  string
		want   outcome
	}{
		{"name", nil, l.ours, outcome{}},
		{"path", nil, "/run/netns/" + l.ours, outcome{}},
		{"no such name", nil, "absent", outcome{Code: 2, Stderr: why + "\"absent\": there is none of that name (ip netns lists them)\n"}},
		{"dots", nil, "..", outcome{Code: 2, Stderr: why + "\"..\": not a name\n"}},
		{"control", nil, "\x1b[2J", outcome{Code: 2, Stderr: why + "\"\\x1b[2J\": there is none of that name (ip netns lists them)\n"}},
		{"no such path", nil, "/absent", outcome{Code: 2, Stderr: why + "\"/absent\": no such file or directory\n"}},
		{"no namespace", nil, file, outcome{Code: 2, Stderr: why + "\"" + file + "\": " + file + " is none\n"}},
		{"no permission", []string{"setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"}, l.ours,
			outcome{Code: 2, Stderr: why + "\"" + l.ours + "\": CAP_SYS_ADMIN is needed: operation not permitted\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l.misled(t)
			got := run(append(c.prefix, ndsend, "--netns", c.netns, "2001:db8::5", "qg-1")...)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			if followed := strings.Contains(l.neighbour(t), "fa:16:3e:01:02:03"); followed != (c.want.Code == 0) {
				t.Errorf("the upstream has %q", l.neighbour(t))
			}
		})
	}
}

// A list is sent whole, past what is bad in it, and the upstream follows.
func TestList(t *testing.T) {
	l := newLink(t)
	l.fixed(t)
	l.misled(t)
	got := l.exec(t, "sh", "-c", `printf '2001:db8::4 # first\nnonsense\033[2J\n2001:db8::5\n' | "$0" - qg-1`, build(t))
	if want := (outcome{Code: 255, Stderr: "ndsend: standard input, line 2: \"nonsense\\x1b[2J\": not an IPv6 unicast address\n"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if !strings.Contains(l.neighbour(t), "fa:16:3e:01:02:03 STALE") {
		t.Errorf("the upstream has %q", l.neighbour(t))
	}
}

// --source leaves from the address asked for, or says that there is none.
func TestSource(t *testing.T) {
	l := newLink(t)
	l.fixed(t)
	ip(t, "-n", l.ours, "address", "add", "2001:db8::1/64", "dev", "qg-1", "nodad")
	ndsend := build(t)
	frames := l.capture(t, 2, func() {
		for range 2 {
			if got := l.exec(t, ndsend, "--source", "2001:db8::1", "2001:db8::5", "qg-1"); got != (outcome{}) {
				t.Errorf("outcome %+v", got)
			}
		}
	})
	if got := hex.EncodeToString(frames[0][22:38]); got != "20010db8000000000000000000000001" {
		t.Errorf("source %s", got)
	}
	got := l.exec(t, ndsend, "--source", "2001:db8::2", "2001:db8::5", "qg-1")
	if want := (outcome{Code: 2, Stderr: "ndsend: interface qg-1: 2001:db8::2: the interface does not have this source address\n"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
