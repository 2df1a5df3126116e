package inventory

import (
	"regexp"
	"slices"
	"strings"
)

// Neutron's names (neutron.agent.l3: NS_PREFIX, SNAT_NS_PREFIX, FIP_NS_PREFIX
// and the device prefixes; interface names are cut to 14 characters,
// constants.LINUX_DEV_LEN).
const (
	RouterNamespacePrefix = "qrouter-"
	SNATNamespacePrefix   = "snat-"
	FIPNamespacePrefix    = "fip-"
	GatewayDevicePrefix   = "qg-"
	// FIPGatewayDevicePrefix is of the agent gateway port in a fip- namespace;
	// FIPRouterDevicePrefix and RouterFIPDevicePrefix of the pair between it
	// and a router, named after the router.
	FIPGatewayDevicePrefix = "fg-"
	FIPRouterDevicePrefix  = "fpr-"
	RouterFIPDevicePrefix  = "rfp-"

	deviceNameLength = 14
)

var neutronNamespace = regexp.MustCompile(`^(qrouter|snat|fip)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// NeutronNamespace reports whether a namespace is named as those that the L3
// agent makes for routers.
func NeutronNamespace(name string) bool { return neutronNamespace.MatchString(name) }

// DeviceName returns the name that Neutron gives to the device of a port.
func DeviceName(prefix, portID string) string {
	name := prefix + portID
	return name[:min(len(name), deviceNameLength)]
}

// names reports whether held namespaces include one.
func names(held []string, namespace string) bool {
	return slices.ContainsFunc(held, func(h string) bool {
		return h == namespace || isPrefix(h) && strings.HasPrefix(namespace, h)
	})
}

func isPrefix(namespace string) bool { return strings.HasSuffix(namespace, "-") }
