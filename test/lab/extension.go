package lab

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// UpstreamExtension is the name of upstream's in-agent extension in [agent] extensions.
const UpstreamExtension = "ndp_proxy"

// SetExtensions writes [agent] extensions of the host's l3_agent.ini as an operator does: the L3 agent
// that runs goes on with what it has read. No name takes the option away.
func (n *Node) SetExtensions(names ...string) error {
	text, err := os.ReadFile(n.L3Conf())
	if err != nil {
		return fmt.Errorf("extensions of %s: %w", n.Name, err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		if key, _, is := strings.Cut(line, "="); is && strings.TrimSpace(key) == "extensions" {
			continue
		}
		b.WriteString(line)
		if strings.TrimSpace(line) == "[agent]" && len(names) > 0 {
			b.WriteString("extensions = " + strings.Join(names, ",") + "\n")
		}
	}
	if err := os.WriteFile(n.L3Conf(), []byte(b.String()), 0o644); err != nil { //nolint:gosec // a lab holds no secrets
		return fmt.Errorf("extensions of %s: %w", n.Name, err)
	}
	return nil
}

// RestartL3 restarts the host's L3 agent and returns when the server sees the new one.
func (n *Node) RestartL3(ctx context.Context) error {
	if err := n.Service(ctx, "stop", "l3-agent"); err != nil {
		return err
	}
	return n.Service(ctx, "start", "l3-agent")
}
