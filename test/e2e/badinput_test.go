//go:build lab

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
	"neutron-ndp-proxy-agent/test/nettools"
)

// complaint matches a log line that an operator must see: level warn or worse.
var complaint = regexp.MustCompile(`^\S+\t(warn|error|dpanic|panic|fatal)\t`)

// TestBadConfiguration: what cannot work from the start ends the daemon at once with one error that
// names the culprit.
func TestBadConfiguration(t *testing.T) {
	w := outer(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		w.must(os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	neutron := w.lab.NeutronConf()
	for _, c := range []struct {
		name string
		args []string
		want []string // all of them in the message
	}{
		{"missing file", []string{"--config-file", neutron, "--config-file", dir + "/none.ini"}, []string{"none.ini"}},
		{"a directory", []string{"--config-file", neutron, "--config-file", dir}, []string{dir}},
		{"not an ini file", []string{"--config-file", neutron, "--config-file", write("broken.ini", "[ndp_proxy]\nworkers 4\n")}, []string{"broken.ini", "2"}},
		{"unknown option", []string{"--config-file", neutron, "--config-file", write("typo.ini", "[ndp_proxy]\n# comment\naudit_intervall = 5\n")},
			[]string{"typo.ini", "3", "audit_intervall", "audit_interval"}},
		{"value out of range", []string{"--config-file", neutron, "--config-file", write("range.ini", "[ndp_proxy]\nworkers = 0\n")}, []string{"range.ini", "workers", "0"}},
		{"no transport_url", []string{"--config-file", write("empty.conf", "[DEFAULT]\nhost = x\ntransport_url =\n")}, []string{"transport_url"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.in(t)
			d := w.lab.StartDaemon(t, lab.DaemonConfig{Args: c.args})
			code, err := d.ExitCode(w.within(10 * time.Second))
			w.must(err)
			if code <= 0 {
				t.Errorf("exit code %d", code)
			}
			lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(d.Log()), "\n"), func(line string) bool {
				return !slices.ContainsFunc(c.want, func(s string) bool { return strings.Contains(line, s) })
			})
			if len(lines) != 1 {
				t.Errorf("want one error, got %d:\n%s", len(lines), d.Log())
			}
			for _, s := range c.want {
				if !strings.Contains(d.Log(), s) {
					t.Errorf("the error does not name %q:\n%s", s, d.Log())
				}
			}
			if strings.Contains(d.Log(), "goroutine ") {
				t.Errorf("a stack trace is not an error message:\n%s", d.Log())
			}
		})
	}
}

// TestBadBroker: without a usable broker, or under a host name that Neutron does not know, the daemon
// says so once, names it, keeps trying, and what is in the kernel keeps working.
func TestBadBroker(t *testing.T) {
	for _, c := range []struct{ name, option, want string }{
		{"wrong credentials", "transport_url = rabbit://neutron:wrong-secret@127.0.0.1:5672/", "127.0.0.1:5672"},
		{"unreachable broker", "transport_url = rabbit://neutron:wrong-secret@127.0.0.1:5699/", "127.0.0.1:5699"},
		{"no such virtual host", "transport_url = rabbit://neutron:neutron@127.0.0.1:5672/nowhere", "nowhere"},
		{"unknown host", "host = a-stranger", "a-stranger"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := setup(t)
			good := w.daemon(lab.DaemonConfig{})
			w.reachable(5 * time.Second)
			w.must(good.Stop(w.ctx))

			override := filepath.Join(t.TempDir(), "broker.conf")
			w.must(os.WriteFile(override, []byte("[DEFAULT]\n"+c.option+"\n"), 0o600))
			w.pinging(func(p *nettools.Pinger) {
				d := w.lab.StartDaemon(t, lab.DaemonConfig{More: []string{override}})
				_, err := d.AwaitLog(w.within(10*time.Second), complaint)
				w.must(err)
				w.must(p.AwaitSent(w.ctx, 300)) // some more attempts
				errors := d.Lines(complaint)
				if len(errors) != 1 || !strings.Contains(errors[0], c.want) {
					t.Errorf("want one error that names %s, got %d:\n%s", c.want, len(errors), strings.Join(errors, "\n"))
				}
				if strings.Contains(d.Log(), "wrong-secret") {
					t.Errorf("the password is in the log:\n%s", d.Log())
				}
				if d.IsReady() {
					t.Error("ready without a broker")
				}
				select {
				case <-d.Exited():
					t.Error("the daemon gave up")
				default:
				}
			})
		})
	}
}

// TestRPCError: the server answers with an error (a table of its database is away). The daemon says
// so with the error's name, keeps what is in the kernel, and goes on when the server is well again.
func TestRPCError(t *testing.T) {
	w := setup(t)
	d := w.daemon(lab.DaemonConfig{Ours: "audit_interval = 5\n"})
	w.reachable(5 * time.Second)
	broken := false
	repair := func(ctx context.Context) error {
		if !broken {
			return nil
		}
		broken = false
		return w.lab.SQL(ctx, "rename table ndp_proxies_away to ndp_proxies")
	}
	w.finally(repair)
	w.pinging(func(p *nettools.Pinger) {
		w.must(w.lab.SQL(w.ctx, "rename table ndp_proxies to ndp_proxies_away"))
		broken = true
		named := regexp.MustCompile(`DBNonExistentTable|ProgrammingError`)
		line, err := d.AwaitLog(w.within(15*time.Second), named) // from the audit
		w.must(err)
		if !complaint.MatchString(line) || !strings.Contains(line, "bulk_pull") {
			t.Errorf("not an error that names the method: %s", line)
		}
		w.must(d.Stop(w.ctx))
		d = w.lab.StartDaemon(t, lab.DaemonConfig{Ours: "audit_interval = 5\n"})
		_, err = d.AwaitLog(w.within(15*time.Second), named) // from the first sync
		w.must(err)
		w.must(p.AwaitSent(w.ctx, 200))
		if d.IsReady() {
			t.Error("ready although the first sync failed")
		}
		w.must(repair(w.ctx))
		w.must(d.Ready(w.within(60 * time.Second)))
	})
}

// garbled are bodies that are wrong at each level of the envelope and, for requests, of what we read
// from it. ID stands for an id of its own: a repeated one is dropped as a duplicate, rightly.
var garbled = []struct {
	name, body string
	request    bool
}{
	{"not JSON", "\x00\xff garbage", false},
	{"no envelope", `{"hello": "world"}`, false},
	{"message is not JSON", `{"oslo.version": "2.0", "oslo.message": "{{{"}`, false},
	{"routers is a number", envelope(`{"method": "routers_updated", "version": "1.1", "args": {"routers": 42}, "_unique_id": "ID"}`), true},
	{"push without objects", envelope(`{"method": "push", "version": "1.1", "args": {"resource_list": "x", "event_type": "created"}, "_unique_id": "ID"}`), true},
}

func envelope(message string) string {
	inner, _ := json.Marshal(message) // a string
	return `{"oslo.version": "2.0", "oslo.message": ` + string(inner) + `}`
}

// TestGarbled: a message that cannot be read is reported with the place it came from, once each, and
// the next good one is applied.
func TestGarbled(t *testing.T) {
	w := setup(t)
	before := w.queues()
	d := w.daemon(lab.DaemonConfig{})
	w.reachable(5 * time.Second)
	type place struct {
		exchange, key string
		names         string // what the error must name
		requests      bool
	}
	places := []place{
		{"neutron", topicL3, `"exchange": "neutron"`, true},
		{"l3_agent_fanout", "", `l3_agent_fanout`, true},
		{"neutron-vo-NDPProxy-1.0_fanout", "", "neutron-vo-NDPProxy-1.0_fanout", true},
	}
	for _, q := range w.queues() {
		// the lab's own agents have their reply queues too; the new one is the daemon's
		if !slices.Contains(before, q) && strings.HasPrefix(q, "reply_") {
			places = append(places, place{"", q, q, false})
		}
	}
	if len(places) != 4 {
		t.Fatalf("the daemon's reply queue was not found: %v", places)
	}
	w.pinging(func(p *nettools.Pinger) {
		for _, at := range places {
			for i, g := range garbled {
				if g.request && !at.requests {
					continue
				}
				known := len(d.Lines(complaint))
				body := strings.ReplaceAll(g.body, "ID", fmt.Sprint("garbled-", i, at.exchange))
				w.must(lab.Publish(w.ctx, at.exchange, at.key, []byte(body)))
				w.await(5*time.Second, "an error for "+g.name+" on "+at.names, func() bool { return len(d.Lines(complaint)) > known })
				w.must(p.AwaitSent(w.ctx, 10)) // and a second one, if there is any
				fresh := d.Lines(complaint)[known:]
				if len(fresh) != 1 || !strings.Contains(fresh[0], at.names) {
					t.Errorf("%s on %s: want one error that names it, got:\n%s", g.name, at.names, strings.Join(fresh, "\n"))
				}
			}
		}
	})
	// the rest goes on, by push, not by the audit
	w.must(w.cloud.Unpublish(w.ctx, w.inst))
	w.unreachable(5 * time.Second)
	_, err := w.cloud.Publish(w.ctx, w.inst)
	w.must(err)
	w.reachable(5 * time.Second)
}

// queues lists the names of the broker's queues.
func (w *world) queues() []string {
	w.Helper()
	out, err := w.lab.RabbitMQ(w.ctx, "list_queues", "--no-table-headers", "name")
	w.must(err)
	return strings.Fields(out)
}
