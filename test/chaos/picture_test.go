//go:build rabbitmq

package chaos

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/dataplane"
	"neutron-ndp-proxy-agent/test/sim"
)

var picture = flag.String("chaos.picture", "", "the file for the picture of the dashboard that TestPicture makes; without, it is skipped")

// TestPicture has the daemon live through some minutes, with a real Prometheus that
// reads its metrics, and draws the dashboard of them (make picture). Each alert that
// fires meanwhile is told.
func TestPicture(t *testing.T) {
	if *picture == "" {
		t.Skip("no -chaos.picture")
	}
	out, err := filepath.Abs(*picture)
	must(t, err)
	root, err := filepath.Abs("../..")
	must(t, err)
	dir := t.TempDir()
	draw := filepath.Join(dir, "draw")
	if text, err := exec.Command("go", "build", "-o", draw, "../monitoring/draw").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	s := newStage(t)
	s.daemon.stop(t, stopWithin)
	s.more = "metrics_listen = 127.0.0.1:9697\n"
	s.start(t)
	config := filepath.Join(dir, "prometheus.yml")
	must(t, os.WriteFile(config, fmt.Appendf(nil, `global: {scrape_interval: 1s, evaluation_interval: 5s}
rule_files: [%s/configs/prometheus/neutron-ndp-proxy-agent.rules.yml]
scrape_configs:
  - job_name: neutron-ndp-proxy-agent
    static_configs: [{targets: [127.0.0.1:9697]}]
`, root), 0o600))
	log, err := os.Create(filepath.Join(dir, "prometheus.log"))
	must(t, err)
	defer log.Close()
	s.root.StartTo(log, "prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:9090", "--log.level=warn")
	start := time.Now()
	s.story(t)
	version, err := exec.Command("prometheus", "--version").CombinedOutput()
	must(t, err)
	alerts := s.root.Run(draw, "-dashboard", root+"/configs/grafana/neutron-ndp-proxy-agent.json", "-from", (time.Since(start) - 5*time.Second).String(), "-rate", "15s", "-out", out,
		"-note", "A lab run of some minutes: one daemon with routers of two kinds in namespaces, a RabbitMQ, a stand-in for neutron-server; "+strings.SplitN(string(version), " (", 2)[0]+", scraped each second.")
	t.Logf("alerts:\n%s", alerts)
}

// story is what happens in the picture.
func (s *stage) story(t *testing.T) {
	wait := func(seconds int) { time.Sleep(time.Duration(seconds) * time.Second) }
	n := byte(0)
	next := func(p *part) netip.Addr {
		n++
		a := p.steady.Addr.As16()
		a[13], a[14], a[15] = 0xaa, 0, n
		return netip.AddrFrom16(a)
	}
	var published []*sim.Proxy
	publish := func(p *part, count int) {
		for range count {
			published = append(published, s.PublishAddr(p.r, p.steady, next(p)))
		}
	}
	wait(15)
	for i := range 40 { // a day in the cloud
		publish([]*part{s.legacy, s.dvr}[i%2], 1)
		wait(1)
	}
	ns := s.host.Namespace(s.legacy.namespace)
	for range 5 { // somebody's hand
		ns.Sysctl("net/ipv6/conf/"+s.legacy.device+"/proxy_ndp", "0")
		wait(2)
	}
	ns.Run("nft", "delete", "table", "ip6", dataplane.DefaultTable)
	ns.IP("-6", "neigh", "del", "proxy", s.legacy.steady.Addr.String(), "dev", s.legacy.device)
	wait(10)
	publish(s.victim, 60) // a burst
	wait(15)
	// One that nobody may publish: outside of the router's subnets.
	outside := s.PublishAddr(s.legacy.r, s.legacy.steady, netip.MustParseAddr("2001:db8:ffff::1"))
	wait(15)
	s.Unpublish(outside)
	s.neutron.now().Slow("bulk_pull", 1500*time.Millisecond)
	wait(25)
	s.neutron.now().Slow("bulk_pull", 0)
	s.silence() // the broker is gone without a word
	wait(20)
	s.speak()
	wait(15)
	for _, p := range published[:50] {
		s.Unpublish(p)
		time.Sleep(100 * time.Millisecond)
	}
	wait(15)
}
