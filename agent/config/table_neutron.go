package config

import (
	"math"
	"time"
)

const (
	groupDefault = "DEFAULT"
	groupAgent   = "agent"
)

// neutronRows is what is read of Neutron's own options: neutron/conf/common.py,
// neutron/conf/agent/common.py, neutron/conf/agent/l3/config.py, oslo_log's
// _options.py, oslo_messaging's transport.py and rpc/client.py.
func neutronRows() []row {
	opt := func(group, option string, kind Kind, def string, field func(*target) any) row {
		return row{Option: Option{Group: group, Name: option, Kind: kind, Default: def}, field: field}
	}
	needed := func(r row) row { r.nonEmpty = true; return r }
	seconds := func(r row, from float64) row {
		r.Unit, r.Range = time.Second, &Range{from, math.Inf(1)}
		return r
	}
	also := func(r row, options ...string) row {
		for _, o := range options {
			r.aliases = append(r.aliases, name{r.Group, o})
		}
		return r
	}
	unused := func(r row, why string) row { r.unused = why; return r }
	mode := opt(groupDefault, "agent_mode", Choice, ModeLegacy, func(t *target) any { return &t.AgentMode })
	mode.Choices = []ChoiceOption{{Value: ModeLegacy}, {Value: ModeDVR}, {Value: ModeDVRSNAT}, {Value: ModeDVRNoExternal}}

	return []row{
		opt(groupDefault, "transport_url", String, "", func(t *target) any { return &t.transportURL }),
		needed(opt(groupDefault, "host", String, "", func(t *target) any { return &t.Host })),
		needed(opt(groupDefault, "control_exchange", String, "neutron", func(t *target) any { return &t.ControlExchange })),
		mode,
		needed(opt(groupDefault, "state_path", Path, "/var/lib/neutron", func(t *target) any { return &t.StatePath })),
		seconds(opt(groupDefault, "rpc_response_timeout", Int, "60", func(t *target) any { return &t.RPCResponseTimeout }), 1),
		seconds(opt(groupDefault, "ha_vrrp_advert_int", Int, "2", func(t *target) any { return &t.VRRPAdvertInterval }), 0),
		seconds(opt(groupDefault, "agent_down_time", Int, "75", func(t *target) any { return &t.AgentDownTime }), 1),
		seconds(opt(groupAgent, "report_interval", Float, "30", func(t *target) any { return &t.ReportInterval }), 0),
		opt(groupAgent, "extensions", List, "", func(t *target) any { return &t.Extensions }),

		opt(groupDefault, "debug", Bool, "false", func(t *target) any { return &t.Log.Debug }),
		also(opt(groupDefault, "log_file", String, "", func(t *target) any { return &t.Log.File }), "logfile"),
		also(opt(groupDefault, "log_dir", String, "", func(t *target) any { return &t.Log.Dir }), "logdir"),
		opt(groupDefault, "watch_log_file", Bool, "false", func(t *target) any { return &t.Log.WatchFile }),
		opt(groupDefault, "use_json", Bool, "false", func(t *target) any { return &t.Log.UseJSON }),
		opt(groupDefault, "use_stderr", Bool, "false", func(t *target) any { return &t.Log.UseStderr }),
		unused(opt(groupDefault, "use_journal", Bool, "false", func(t *target) any { return &t.ignored.journal }),
			"under systemd the journal reads standard error, where the log goes unless log_file or log_dir names a file; with use_stderr it goes to both"),
		unused(opt(groupDefault, "use_syslog", Bool, "false", func(t *target) any { return &t.ignored.syslog }),
			"the log goes to a file or to standard error; under systemd the journal reads that, and hands it on to syslog if told to"),
		unused(also(opt(groupDefault, "log_config_append", String, "", func(t *target) any { return &t.ignored.logConfig }),
			"log-config", "log_config"), "it names a configuration of Python's logging"),
	}
}
