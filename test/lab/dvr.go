package lab

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"neutron-ndp-proxy-agent/test/nettools"
)

// BehindAddr is the host behind the upstream router, in a network outside the pool.
const BehindAddr = "2001:db8:ffff::2"

// EnsureDVR is EnsureCloud with a distributed router; a router of another kind is deleted first, with
// all that hangs on it. The first host must have agent_mode dvr_snat: the router's gateway is there
// (with ha on either host that has it).
func (l *Lab) EnsureDVR(ctx context.Context, a *API, ha bool) (*Cloud, error) {
	kind := Fields{"ha": ha, "distributed": true}
	id, err := a.find(ctx, router, RouterName)
	if err != nil {
		return nil, err
	}
	if id != "" {
		is, err := show[struct{ HA, Distributed bool }](ctx, a, router, id)
		if err != nil {
			return nil, err
		}
		if !is.Distributed || is.HA != ha {
			if err := l.WipeCloud(ctx, a); err != nil {
				return nil, err
			}
		}
	}
	c, err := l.ensureParts(ctx, a, kind)
	if err != nil {
		return nil, err
	}
	if err := c.connectRouter(ctx); err != nil {
		return nil, err
	}
	return c, c.Refresh(ctx)
}

// The namespaces and devices of a distributed router, as the L3 agent names them.

// FIP is the namespace that the routers of one external network share on a host.
func (c *Cloud) FIP() string { return "fip-" + c.ExtNet }

// Snat is the router's namespace on the host that its gateway port is on.
func (c *Cloud) Snat() string { return "snat-" + c.Router }

// FPR is the shared namespace's end of the pair of devices to the router, RFP the router's.
func (c *Cloud) FPR() string { return "fpr-" + c.Router[:10] }

// RFP is the router's end of the pair of devices to the shared namespace.
func (c *Cloud) RFP() string { return "rfp-" + c.Router[:10] }

// AgentGateway waits for the host's own port on the external network, which the server makes when the
// L3 agent there asks for it, and for its device fg- in the namespace [Cloud.FIP].
func (c *Cloud) AgentGateway(ctx context.Context, n *Node) (device string, p Port, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = poll(ctx, "the gateway port of L3 agent "+n.Name, func() (bool, error) {
		found, err := list[Port](ctx, c.API, port, url.Values{
			"network_id": {c.ExtNet}, "device_owner": {"network:floatingip_agent_gateway"}, "binding:host_id": {n.Name},
		})
		if err != nil || len(found) == 0 {
			return false, err
		}
		p, device = found[0], "fg-"+found[0].ID[:11]
		devices, err := nettools.Devices(ctx, n.NS(c.FIP()))
		return err == nil && slices.Contains(devices, device) && slices.Contains(devices, c.FPR()), nil
	})
	return device, p, err
}

// Sibling finds or makes another distributed router of the same external network, with an internal
// network of its own. Its fpr- device is in the same namespace fip-. RemoveSibling deletes it.
func (c *Cloud) Sibling(ctx context.Context, name string) (*Cloud, error) {
	s := *c
	for _, part := range []struct {
		id   *string
		kind kind
		f    func() Fields
	}{
		{&s.Router, router, func() Fields { return Fields{"ha": false, "distributed": true} }},
		{&s.IntNet, network, func() Fields { return Fields{"port_security_enabled": false} }},
		{&s.IntSub, subnet, func() Fields {
			return Fields{"network_id": s.IntNet, "subnetpool_id": c.Pool, "prefixlen": 112, "ip_version": 6,
				"ipv6_ra_mode": "dhcpv6-stateful", "ipv6_address_mode": "dhcpv6-stateful"}
		}},
	} {
		id, err := c.API.ensure(ctx, part.kind, name, part.f())
		if err != nil {
			return nil, err
		}
		*part.id = id
	}
	if err := s.connectRouter(ctx); err != nil {
		return nil, err
	}
	return &s, s.Refresh(ctx)
}

// RemoveSibling deletes the router and its internal network with the instances there.
func (c *Cloud) RemoveSibling(ctx context.Context) error {
	return errors.Join(c.wipeRouter(ctx), c.lab.wipeNetwork(ctx, c.API, c.IntNet))
}

var agentMode = regexp.MustCompile(`(?m)^agent_mode = (\S+)$`)

// AgentMode is what the host's l3_agent.ini says.
func (n *Node) AgentMode() (string, error) {
	text, err := os.ReadFile(n.L3Conf())
	if err != nil {
		return "", fmt.Errorf("agent mode of %s: %w", n, err)
	}
	found := agentMode.FindSubmatch(text)
	if found == nil {
		return "", fmt.Errorf("agent mode of %s: %s has none", n, n.L3Conf())
	}
	return string(found[1]), nil
}

// SetAgentModes gives both hosts their agent_mode and restarts the L3 agents of those where it
// changes; it returns when the server knows them again. What an earlier mode left on a host stays, as
// it does for an operator: see CleanL3.
func (l *Lab) SetAgentModes(ctx context.Context, one, two string) error {
	want := map[string]string{Host: one, Host2: two}
	changed := false
	for _, n := range l.nodes() {
		is, err := n.AgentMode()
		if err != nil {
			return err
		}
		changed = changed || is != want[n.Name]
	}
	if !changed {
		return nil
	}
	cmd := l.script(ctx, filepath.Join("lib", "start"))
	cmd.Env = append(cmd.Env, "LAB_HOST2=1", "LAB_AGENT_MODE="+one, "LAB_AGENT_MODE2="+two)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("agent modes %s and %s: %w: %s", one, two, err, out)
	}
	return nil
}

// CleanL3 removes the namespaces of routers from the host and lets its L3 agent make those anew that
// it wants: what an operator does after a change of agent_mode (neutron-netns-cleanup, or a reboot).
func (n *Node) CleanL3(ctx context.Context) error {
	if err := n.Service(ctx, "stop", "l3-agent"); err != nil {
		return err
	}
	out, err := n.Run(ctx, "ip", "netns", "list")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		kind, _, _ := strings.Cut(name, "-")
		if !slices.Contains([]string{"qrouter", "fip", "snat"}, kind) {
			continue
		}
		if _, err := n.Run(ctx, "ip", "netns", "del", name); err != nil {
			return err
		}
	}
	return n.Service(ctx, "start", "l3-agent")
}
