package config

import (
	"errors"
	"fmt"
	"math"
	"path"
	"strings"
	"time"
	"unicode"
)

const (
	groupNDPProxy = "ndp_proxy"
	since01       = "0.1"
	since02       = "0.2"
	since03       = "0.3"
	since04       = "0.4"
)

// ndpProxyRows is [ndp_proxy]: the only place where an option of ours is
// described. After a change: go generate ./agent/config.
func ndpProxyRows() []row {
	ours := func(o Option, field func(*NDPProxy) any) row {
		o.Group = groupNDPProxy
		return row{Option: o, field: func(t *target) any { return field(&t.NDPProxy) }}
	}
	netns := ours(Option{
		Name: "netns_dir", Kind: Path, Default: "/run/netns", Since: since01,
		Help: "Where the network namespaces are mounted, as `ip netns` and Neutron do it.",
	}, func(c *NDPProxy) any { return &c.NetnsDir })
	netns.nonEmpty = true

	runtime := ours(Option{
		Name: "runtime_dir", Kind: Path, Default: "/run/neutron-ndp-proxy-agent", Since: since03,
		Help: "Where the daemon remembers across restarts in which namespaces announcements are still owed. It must be " +
			"this daemon's own and empty after a reboot; systemd makes it (RuntimeDirectory).",
	}, func(c *NDPProxy) any { return &c.RuntimeDir })
	runtime.nonEmpty = true

	control := ours(Option{
		Name: "control_socket", Kind: Path, Default: "$runtime_dir/control.sock", Since: since04,
		Help: "The Unix socket at which the daemon answers `neutron-ndp-proxy-agent status`. Its mode is 0660, and it " +
			"belongs to the daemon's user and group, which is neutron in the systemd unit: root and who is in that group " +
			"may ask. Empty: there is none.",
	}, func(c *NDPProxy) any { return &c.ControlSocket })

	metrics := ours(Option{
		Name: "metrics_listen", Kind: String, Since: since04,
		Help: "Where else than at the control socket the daemon answers /metrics (Prometheus), /healthz and /readyz: " +
			"host:port, or unix: and a path, such as localhost:9697, [::1]:9697 or unix:/run/neutron-ndp-proxy-agent/metrics.sock. " +
			"There is no password and no encryption: name a loopback address, or one that only the monitoring reaches. " +
			"Empty: at the control socket only.",
	}, func(c *NDPProxy) any { return &c.MetricsListen })
	metrics.off = true
	metrics.pattern = `(unix:/.{1,96}|(\[[0-9A-Fa-f:.]+(%[A-Za-z0-9_.-]+)?\]|[A-Za-z0-9._-]*):0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?`
	metrics.shape = "host:port, [address]:port with a port from 1 to 65535, or unix:/path"

	table := ours(Option{
		Name: "table", Kind: String, Default: "neutron_ndp_proxy", Since: since01,
		Help: "Name of the nftables table (family ip6) that the daemon keeps in each namespace it works on. " +
			"The table is the daemon's own: whatever else is in it is removed.",
	}, func(c *NDPProxy) any { return &c.Table })
	table.pattern = `[A-Za-z_][A-Za-z0-9_.-]{0,63}`
	table.shape = "a letter or _, then at most 63 letters, digits, '_', '.' or '-'"

	uplinks := ours(Option{
		Name: "uplinks", Kind: List, Since: since02,
		Help: "Names of the devices, in the host's own network namespace, behind which the external networks are, or " +
			"shell patterns of them (bond*, eth[0-3]). When one of them gets its carrier back, all that is answered for " +
			"here is announced again, as the switches may have learned meanwhile that an HA router is on another node. " +
			"Empty: every physical device, bond and team. Name them where hardware offload gives instances devices that " +
			"look physical.",
	}, func(c *NDPProxy) any { return &c.Uplinks })
	uplinks.item = checkDevicePattern

	return []row{
		ours(Option{
			Name: "source", Kind: Choice, Default: SourceNeutron, Since: since01,
			Choices: []ChoiceOption{
				{SourceNeutron, "ask neutron-server over RabbitMQ and listen to what it tells the L3 agent"},
				{SourceFile, "read source_file; neither Neutron nor RabbitMQ is needed"},
			},
			Help: "Where the published addresses come from.",
		}, func(c *NDPProxy) any { return &c.Source }),
		ours(Option{
			Name: "source_file", Kind: Path, Default: "/etc/neutron/ndp_proxy.yaml", Since: since01,
			Help: "The file that lists namespaces, devices, subnets and addresses. " +
				"It is used only with source = file, and watched for change.",
		}, func(c *NDPProxy) any { return &c.SourceFile }),
		ours(Option{
			Name: "audit_interval", Kind: Int, Unit: time.Second, Default: "60", Since: since01,
			Range: &Range{5, 3600},
			Help: "Proxies of all routers, and up to sync_chunk_size enabled routers, are compared with the server, and " +
				"every namespace with the kernel, at least this often; the actual interval is a little shorter, at random. " +
				"It is the longest time for which an address stays published after its port was deleted, of which " +
				"neutron-server tells nobody.",
		}, func(c *NDPProxy) any { return &c.AuditInterval }),
		ours(Option{
			Name: "full_sync_interval", Kind: Int, Unit: time.Second, Default: "3600", Since: since01,
			Range: &Range{0, 86400},
			Help: "How often all routers are asked for again, though no message said they changed; the audit re-reads " +
				"the enabled routers known here, at most sync_chunk_size of them each time. " +
				"0 asks for all of them only after a reconnect.",
		}, func(c *NDPProxy) any { return &c.FullSyncInterval }),
		ours(Option{
			Name: "sync_chunk_size", Kind: Int, Default: "64", Since: since01,
			Range: &Range{1, 1024},
			Help: "How many routers are asked for in one call. It halves by itself when neutron-server does not answer in " +
				"time (rpc_response_timeout).",
		}, func(c *NDPProxy) any { return &c.SyncChunkSize }),
		ours(Option{
			Name: "workers", Kind: Int, Default: "4", Since: since01,
			Range: &Range{1, 64},
			Help:  "How many namespaces are worked on at the same time.",
		}, func(c *NDPProxy) any { return &c.Workers }),
		ours(Option{
			Name: "max_addresses", Kind: Int, Default: "10000", Since: since04,
			Range: &Range{1, 50000}, // the watchdog waits for five minutes (agent/pulse)
			Help: "How many addresses are published on one device. Beyond this new ones are refused, with a line in the log; " +
				"what is published stays. The kernel's table of proxied addresses is comfortable to some 5000 on a device, " +
				"10000 take it more than a second to add and 50000 two minutes.",
		}, func(c *NDPProxy) any { return &c.MaxAddresses }),
		ours(Option{
			Name: "proxy_delay", Kind: Int, Unit: time.Millisecond, Default: "0", Since: since01,
			Range: &Range{-1, 10000},
			Help: "The sysctl net.ipv6.neigh.<device>.proxy_delay of the devices that answer: the kernel waits a random time " +
				"up to this before it answers for a published address. The kernel's own default is 800. " +
				"-1 leaves the sysctl alone.",
		}, func(c *NDPProxy) any { return &c.ProxyDelay }),
		ours(Option{
			Name: "announce", Kind: Bool, Default: "true", Since: since01,
			Help: "Send unsolicited neighbour advertisements for addresses that became answerable here, so that upstream " +
				"routers forget where the address was before.",
		}, func(c *NDPProxy) any { return &c.Announce }),
		ours(Option{
			Name: "announce_router_flag", Kind: Bool, Default: "false", Since: since01,
			Help: "Set the Router flag in the advertisements. It marks the published address itself as a router in the " +
				"receiver's neighbour cache, which an instance is not (RFC 4861, section 4.4).",
		}, func(c *NDPProxy) any { return &c.AnnounceRouterFlag }),
		ours(Option{
			Name: "announce_count", Kind: Int, Default: "3", Since: since03,
			Range: &Range{1, 3},
			Help: "How many times each announcement is sent, the first time at once: a receiver that missed one learns " +
				"from the next. RFC 4861 allows three (MAX_NEIGHBOR_ADVERTISEMENT).",
		}, func(c *NDPProxy) any { return &c.AnnounceCount }),
		ours(Option{
			Name: "announce_interval", Kind: Float, Unit: time.Second, Default: "1.0", Since: since03,
			Range: &Range{0.1, 60},
			Help: "The least time between two of them; each pause is up to a quarter longer, at random. RFC 4861 asks for " +
				"at least RetransTimer, which is one second on most links.",
		}, func(c *NDPProxy) any { return &c.AnnounceInterval }),
		ours(Option{
			Name: "announce_rate", Kind: Int, Default: "500", Since: since03,
			Range: &Range{0, 1000000},
			Help: "How many advertisements a second leave each device, after a hundred at once, to spare the upstream " +
				"routers, which often limit what reaches their control plane. 0: as many as the device takes.",
		}, func(c *NDPProxy) any { return &c.AnnounceRate }),
		ours(Option{
			Name: "announce_refresh", Kind: Int, Unit: time.Second, Default: "0", Since: since03,
			Range: &Range{0, 86400},
			Help: "How often everything that is answered for here is announced once more, spread over that time, for " +
				"switches that forget sooner than the routers ask again. 0: never.",
		}, func(c *NDPProxy) any { return &c.AnnounceRefresh }),
		uplinks,
		ours(Option{
			Name: "beside_extension", Kind: Bool, Default: "false", Since: since02,
			Help: "Start although [agent] extensions in l3_agent.ini still names ndp_proxy. Both then program the same " +
				"addresses, and the extension withdraws them whenever a router is updated: for the time of a migration " +
				"only (docs/migrate.md).",
		}, func(c *NDPProxy) any { return &c.BesideExtension }),
		ours(Option{
			Name: "remove_foreign_entries", Kind: Bool, Default: "false", Since: since02,
			Help: "Remove the proxy entries that somebody else made on a device where this daemon works, such as the L3 " +
				"agent's extension, unless they are for a published address, and with them the host routes that somebody " +
				"made to such addresses through a device that ours go through. Otherwise they stay, the kernel answers " +
				"for them too, and the log names them.",
		}, func(c *NDPProxy) any { return &c.RemoveForeign }),
		netns,
		runtime,
		control,
		metrics,
		ours(Option{
			Name: "pprof", Kind: Bool, Default: "false", Since: since04,
			Help: "Answer /debug/pprof/ at the control socket, for profiles of the daemon itself. Whoever may open the " +
				"socket can then slow the daemon down. Never at metrics_listen.",
		}, func(c *NDPProxy) any { return &c.PProf }),
		ours(Option{
			Name: "protocol", Kind: Int, Default: "110", Since: since01,
			Range: &Range{5, math.MaxUint8},
			Help: "The protocol number that marks the neighbour entries, routes and rules made by the daemon: " +
				"`ip -6 neigh show proxy proto 110` and `ip -6 route show table all proto 110` list them. Entries with " +
				"another number, or none, are not removed (but see remove_foreign_entries); one for a published " +
				"address on a device of ours gets this number and is ours from then on. After a change, what bears the " +
				"old number is somebody else's to the daemon: entries and host routes of addresses that are no longer " +
				"published stay behind, and so do, with distributed routers, the old rules and the default route of table " +
				"110, which then blocks the new one. Remove them by hand first, as \"Remove\" in docs/install.md says.",
		}, func(c *NDPProxy) any { return &c.Protocol }),
		table,
		ours(Option{
			Name: "queue_expires", Kind: Int, Unit: time.Second, Default: "1800", Since: since01,
			Range: &Range{60, 604800},
			Help: "RabbitMQ deletes the daemon's queues when nobody has consumed from them for this long (x-expires). " +
				"Until then they keep the fanout exchanges alive while the daemon is stopped.",
		}, func(c *NDPProxy) any { return &c.QueueExpires }),
	}
}

// checkDevicePattern takes what path.Match takes, and no name or path that no
// device can have.
func checkDevicePattern(s string) error {
	_, err := path.Match(s, "")
	switch {
	case s == "":
		return errors.New("has an empty item")
	case err != nil:
		return fmt.Errorf("%s is not a shell pattern", quote(s))
	case strings.ContainsFunc(s, func(r rune) bool { return r == '/' || unicode.IsSpace(r) || !unicode.IsPrint(r) }):
		return fmt.Errorf("%s is not the name of a device", quote(s))
	case !strings.ContainsAny(s, `*?[\`) && len(s) > maxDevice:
		return fmt.Errorf("%s is longer than a device's name can be, %d bytes", quote(s), maxDevice)
	}
	return nil
}

// maxDevice is IFNAMSIZ without the byte that ends the name (linux/if.h).
const maxDevice = 15
