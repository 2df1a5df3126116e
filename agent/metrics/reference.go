package metrics

import (
	"fmt"
	"strings"
)

// Reference is the part of docs/metrics.md that lists all metrics, in Markdown.
func Reference() string {
	var b strings.Builder
	for _, m := range Descriptions() {
		fmt.Fprintf(&b, "### `%s`\n\n%s, %s", m.Name, strings.ToUpper(string(m.Type[:1]))+string(m.Type[1:]), m.Unit)
		if m.Neutron {
			b.WriteString("; with `source = neutron` only")
		}
		fmt.Fprintf(&b, ". %s\n", m.Help)
		if m.Do != "" {
			fmt.Fprintf(&b, "%s\n", m.Do)
		}
		if len(m.Labels) > 0 {
			b.WriteString("\n")
		}
		for _, l := range m.Labels {
			values := "one value, the build's"
			if len(l.Values) > 0 {
				values = "`" + strings.Join(l.Values, "`, `") + "`"
			}
			fmt.Fprintf(&b, "* `%s`: %s\n", l.Name, values)
		}
		b.WriteString("\n")
	}
	return b.String()
}
