package config

import (
	"crypto/fips140"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// check looks at what more than one option decides, after all are stored.
func (l *loader) check() {
	c := l.t.Config
	l.checkAgent(c)
	l.checkUnused(c.NDPProxy.Source == SourceNeutron)
	if c.NDPProxy.Source == SourceFile && c.NDPProxy.SourceFile == "" {
		n := name{groupNDPProxy, "source_file"}
		l.fail(l.t.Origins[n.String()], n, errors.New("must name a file, because source = file"))
	}
	if c.NDPProxy.Source != SourceNeutron {
		return // nobody will talk to a broker
	}
	l.checkHost(c.Host)
	l.checkQueues(&c.Rabbit)
	l.checkTLS(&c.Rabbit)
	l.checkExposed()
	// oslo.messaging treats 0 as 1 for the first and would spin on the second.
	c.Rabbit.RetryInterval = max(c.Rabbit.RetryInterval, time.Second)
	c.Rabbit.RetryMax = max(c.Rabbit.RetryMax, c.Rabbit.RetryInterval)
}

func (l *loader) checkAgent(c *Config) {
	at := func(group, option string) string { return l.t.Origins[name{group, option}.String()] }
	if c.extension() && (c.NDPProxy.BesideExtension || c.NDPProxy.Source != SourceNeutron) {
		l.warn(at(groupAgent, "extensions"), "[agent] extensions still has ndp_proxy: "+
			"the L3 agent goes on programming the same addresses, and withdraws them when a router is updated; take it out once this daemon runs")
	}
	switch down := l.t.AgentDownTime; {
	case c.ReportInterval == 0:
		l.warn(at(groupAgent, "report_interval"), "[agent] report_interval is 0: no state is reported, and `network agent list` will not show this agent alive")
	case c.ReportInterval*2 > down:
		l.warn(at(groupAgent, "report_interval"), "[agent] report_interval (%v) is more than half of agent_down_time (%v): "+
			"one late report shows this agent as dead", c.ReportInterval, down)
	}
}

// Extension is the name of Neutron's NDP proxy among the L3 agent's extensions.
const Extension = "ndp_proxy"

// extension reports whether the L3 agent beside us runs Neutron's extension.
func (c *Config) extension() bool { return slices.Contains(c.Extensions, Extension) }

// Refusal says why the daemon must not start although the configuration is
// well formed; nil if it may. It is no error of [Load], since it is about the
// L3 agent's configuration and passes when that is changed.
func (c *Config) Refusal() error {
	if !c.extension() || c.NDPProxy.BesideExtension || c.NDPProxy.Source != SourceNeutron {
		return nil
	}
	n := name{groupAgent, "extensions"}
	return &Error{Where: c.Origins[n.String()], Option: n.String(), Err: errExtension}
}

var errExtension = errors.New("names ndp_proxy, so the L3 agent programs the same addresses, and withdraws them whenever a router is updated: " +
	"two programs would fight. To migrate without a gap (docs/migrate.md): set [ndp_proxy] beside_extension = true and start this daemon, " +
	"then take ndp_proxy out of the L3 agent's extensions and restart the L3 agent, then take beside_extension out again and restart this daemon. " +
	"To migrate with one: take ndp_proxy out, restart the L3 agent, start this daemon")

// checkUnused warns of options that were set to something else than oslo's
// default and that nothing here obeys.
func (l *loader) checkUnused(broker bool) {
	for _, r := range rows() {
		if r.unused == "" || r.Group == groupRabbit && !broker {
			continue
		}
		if where := l.t.Origins[r.name().String()]; where != "" && r.get(l.t) != r.Default {
			l.warn(where, "%v has no effect here: %s", r.name(), r.unused)
		}
	}
}

// maxHost leaves room for the topic before it: AMQP's routing keys and queue
// names end at 255 bytes.
const maxHost = 200

// checkHost refuses what cannot be a word of a routing key: there * and # make
// a pattern, and the broker's client refuses the name when it is too late for
// exit code 2.
func (l *loader) checkHost(host string) {
	bad := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '*' || r == '#' }
	if len(host) <= maxHost && !strings.ContainsFunc(host, bad) {
		return
	}
	n := name{groupDefault, "host"}
	where, whose := l.t.Origins[n.String()], ""
	if where == "" {
		whose = "the machine's name "
	}
	l.fail(where, n, fmt.Errorf("%s%s cannot be part of a routing key: no white space, *, # or control characters, and at most %d bytes",
		whose, quote(short(host)), maxHost))
}

// short is the head of a text that is much too long to be shown.
func short(text string) string { return fmt.Sprintf("%.210s", text) }

// checkQueues refuses what oslo.messaging refuses at start.
func (l *loader) checkQueues(r *Rabbit) {
	at := func(option string) (string, name) {
		n := name{groupRabbit, option}
		return l.t.Origins[n.String()], n
	}
	if r.QuorumQueue && r.HAQueues {
		where, n := at("rabbit_quorum_queue")
		l.fail(where, n, errors.New("excludes rabbit_ha_queues: a queue is either of quorum type or mirrored"))
	}
	if r.StreamFanout && (r.PrefetchCount == 0 || !r.TransientQuorumQueue) {
		where, n := at("rabbit_stream_fanout")
		l.fail(where, n, errors.New("needs rabbit_qos_prefetch_count above 0 and rabbit_transient_quorum_queue = true"))
	}
	for _, group := range []string{groupRabbit, groupDefault} {
		if f, ok := l.find(name{group, "rabbit_durable_queues"}); ok {
			l.warn(f.where, "%v has had no effect in Neutron since 2018 and has none here; the option is [%s] amqp_durable_queues",
				f.as, groupRabbit)
		}
	}
}

func (l *loader) checkTLS(r *Rabbit) {
	r.SSLVersion = strings.ToLower(r.SSLVersion)
	at := func(option string) string { return l.t.Origins[name{groupRabbit, option}.String()] }
	if !r.SSL {
		if r.LoginMethod == "EXTERNAL" {
			l.warn(at("rabbit_login_method"), "rabbit_login_method EXTERNAL identifies by a client certificate, but ssl is off")
		}
		return
	}
	if _, err := r.TLSConfig(); err != nil {
		for _, one := range unjoin(err) {
			var e tlsError
			if errors.As(one, &e) {
				l.fail(at(e.option), name{groupRabbit, e.option}, e.err)
			} else {
				l.fail(at("ssl"), name{groupRabbit, "ssl"}, one)
			}
		}
	}
	if r.SSLCertFile == "" && (r.SSLKeyFile != "" || r.LoginMethod == "EXTERNAL") {
		l.warn(at("ssl"), "no ssl_cert_file is set, so no client certificate is sent (and ssl_key_file is not used)")
	}
	if !r.SSLVerifyHostname {
		l.warn(at("ssl_enforce_hostname_verification"), "the broker's name is not verified: any certificate of the same authority is accepted")
	}
	if r.SSLVersion == "tlsv1" || r.SSLVersion == "tlsv1_1" {
		l.warn(at("ssl_version"), "ssl_version %s is obsolete; leave it empty to negotiate the best", r.SSLVersion)
	}
	if r.SSLEnforceFIPS && !fips140.Enabled() {
		l.warn(at("ssl_enforce_fips_mode"), "ssl_enforce_fips_mode has no effect here: start the daemon with GODEBUG=fips140=on instead")
	}
}

// unjoin takes the errors of an errors.Join apart.
func unjoin(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // exactly this error's shape is asked for
		return j.Unwrap()
	}
	return []error{err}
}
