package systemd_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// mostExposed is the level that `systemd-analyze security` of systemd 252 may come
// to, of 10.
const mostExposed = 2.2

// explained says by which words in the unit's comments what is left open is
// explained.
var explained = map[string]string{
	"RootDirectory=/RootImage=":                                   "RootDirectory, RootImage:",
	"AmbientCapabilities=":                                        "setns(2) into the namespaces",
	"RestrictNamespaces=~net":                                     "setns into network namespaces and into no others",
	"ProtectKernelTunables=":                                      "ProtectKernelTunables:",
	"RestrictAddressFamilies=~AF_NETLINK":                         "NETLINK:",
	"RestrictAddressFamilies=~AF_UNIX":                            "UNIX:",
	"RestrictAddressFamilies=~AF_(INET|INET6)":                    "INET, INET6:",
	"CapabilityBoundingSet=~CAP_NET_ADMIN":                        "NET_ADMIN:",
	"CapabilityBoundingSet=~CAP_NET_(BIND_SERVICE|BROADCAST|RAW)": "NET_RAW:",
	"CapabilityBoundingSet=~CAP_SYS_ADMIN":                        "SYS_ADMIN:",
	"ProcSubset=":                                                 "ProcSubset=pid:",
	"PrivateNetwork=":                                             "PrivateNetwork:",
	"PrivateUsers=":                                               "PrivateUsers:",
	"DeviceAllow=":                                                "adds the real-time clock, to read",
	"IPAddressDeny=":                                              "IPAddressDeny:",
	"UMask=":                                                      "UMask=0077:",
}

func TestExposure(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		if os.Geteuid() == 0 {
			t.Fatal("no systemd-analyze: test/lab/install unit")
		}
		t.Skip("no systemd-analyze here")
	}
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	analyze := func(more ...string) []byte {
		cmd := exec.Command("systemd-analyze", append([]string{"security", "--offline=true", "--no-pager"}, append(more, "./"+unit)...)...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, out)
		}
		return out
	}
	m := regexp.MustCompile(`exposure level for .*: ([0-9.]+)`).FindSubmatch(analyze())
	if m == nil {
		t.Fatal("systemd-analyze security names no level")
	}
	level, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("exposure level %.1f", level)
	if level > mostExposed {
		t.Errorf("exposure level %.1f, at most %.1f", level, mostExposed)
	}
	var items []struct {
		Set      *bool
		Name     string
		Exposure *string
	}
	if err := json.Unmarshal(analyze("--json=short"), &items); err != nil {
		t.Fatal(err)
	}
	comments := regexp.MustCompile(`(?m)^#.*$`).FindAllString(string(text), -1)
	words := strings.Join(strings.Fields(strings.ReplaceAll(strings.Join(comments, " "), "#", "")), " ")
	open := map[string]bool{}
	for _, i := range items {
		if i.Exposure == nil {
			continue
		}
		open[i.Name] = true
		if e := explained[i.Name]; e == "" || !strings.Contains(words, e) {
			t.Errorf("%s costs %s and the unit's comments don't say why (%q)", i.Name, *i.Exposure, e)
		}
	}
	for name := range explained {
		if !open[name] {
			t.Errorf("%s is explained and costs nothing", name)
		}
	}
}

// Every line of the service has its reason above it, at most two lines away.
func TestEveryLineHasItsReason(t *testing.T) {
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	_, service, _ := strings.Cut(string(text), "[Service]\n")
	service, _, _ = strings.Cut(service, "[Install]\n")
	since := 0
	for line := range strings.Lines(service) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "# ---"): // a heading is no reason
			since = 100
		case strings.HasPrefix(line, "#"):
			since = 0
		case line == "":
			since = 100
		default:
			if since++; since > 3 {
				t.Errorf("no reason for %s", line)
			}
		}
	}
}
