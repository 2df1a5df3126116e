package admin

import "neutron-ndp-proxy-agent/agent/plaintext"

// printable is for names and reasons, which may come from outside.
func printable(s string, most int) string { return plaintext.Line(s, most) }
