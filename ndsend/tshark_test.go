package ndsend

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/ndsend/internal/nstest"
)

// What Wireshark makes of the frame: every field by name, none malformed, no
// remark of its experts. It is not among the packages of the lanes (130 MB for
// a third opinion); where it is installed it is asked.
func TestWiresharkAgrees(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("no tshark here: its opinion is not asked for")
	}
	ours, upstream := nstest.New(t), nstest.New(t)
	nstest.Link(t, ours, "qg-1", upstream, "up0")
	capture := upstream.Capture("up0")
	send(t, ours, "qg-1", testTarget)
	frame := capture.Want(testTarget)
	mac := ours.MAC("qg-1").String()
	want := []struct{ field, value string }{
		{"frame.protocols", "eth:ethertype:ipv6:icmpv6"},
		{"eth.src", mac},
		{"eth.dst", "33:33:00:00:00:01"},
		{"ipv6.src", ours.AwaitLinkLocal("qg-1").String()},
		{"ipv6.dst", "ff02::1"},
		{"ipv6.hlim", "255"},
		{"ipv6.plen", "32"},
		{"icmpv6.type", "136"},
		{"icmpv6.code", "0"},
		{"icmpv6.checksum.status", "1"}, // good
		{"icmpv6.nd.na.flag.r", "0"},
		{"icmpv6.nd.na.flag.s", "0"},
		{"icmpv6.nd.na.flag.o", "1"},
		{"icmpv6.nd.na.flag.rsv", "0"},
		{"icmpv6.nd.na.target_address", testTarget.String()},
		{"icmpv6.opt.type", "2"}, // Target link-layer address
		{"icmpv6.opt.length", "1"},
		{"icmpv6.opt.target_linkaddr", mac},
		{"icmpv6.opt.src_linkaddr", ""},
		{"_ws.malformed", ""},
		{"_ws.expert", ""},
	}
	args := []string{"-n", "-r", pcap(t, frame), "-T", "fields", "-E", "separator=|"}
	var wanted []string
	for _, w := range want {
		args = append(args, "-e", w.field)
		wanted = append(wanted, w.field+": "+w.value)
	}
	cmd := exec.Command("tshark", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v: %s", err, &stderr)
	}
	// Later versions spell flags out.
	out = bytes.ReplaceAll(bytes.ReplaceAll(out, []byte("False"), []byte("0")), []byte("True"), []byte("1"))
	values := strings.Split(strings.TrimSuffix(string(out), "\n"), "|")
	if len(values) != len(want) {
		t.Fatalf("tshark says %q", out)
	}
	var got []string
	for i, w := range want {
		got = append(got, w.field+": "+values[i])
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("Wireshark's reading (-want +got):\n%s", diff)
	}
}
