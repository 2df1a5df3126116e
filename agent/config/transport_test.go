package config

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTransportURL(t *testing.T) {
	// show gives the hosts with their passwords, which String never does.
	show := func(p parsedURL) string {
		var b strings.Builder
		for _, h := range p.Hosts {
			fmt.Fprintf(&b, "%s|%d|%s|%s ", h.Host, h.Port, h.User, h.Password.Reveal())
		}
		fmt.Fprintf(&b, "vhost=%s", p.VHost)
		for _, k := range sortedKeys(p.query) {
			fmt.Fprintf(&b, " %s=%s", k, p.query[k])
		}
		if p.tls {
			b.WriteString(" TLS")
		}
		for _, w := range p.warnings {
			b.WriteString("\n! " + w)
		}
		return b.String()
	}
	for _, tc := range []struct{ in, want string }{
		{"rabbit://u:p@h:5673/v", "h|5673|u|p vhost=v"},
		{"RABBIT://u:p@h", "h|5672|u|p vhost=/"},
		{"rabbit://u:p@h/", "h|5672|u|p vhost=/"},
		{"rabbit://u:p@h//", "h|5672|u|p vhost=/"},
		{"rabbit://u:p@h/%2F", "h|5672|u|p vhost=/"},
		{"rabbit://u:p@h//v/w", "h|5672|u|p vhost=/v/w"},
		{"rabbit://u:p@h/a%252Fb", "h|5672|u|p vhost=a/b"}, // unescaped twice, see the code
		{"rabbit://u:p@h1:1,u2:p2@h2:2/v", "h1|1|u|p h2|2|u2|p2 vhost=v"},
		{"rabbit://h", "h|5672|guest|guest vhost=/"},
		{"rabbit://h1,h2:1", "h1|5672|guest|guest h2|1|guest|guest vhost=/"},
		{"rabbit://u@h1,u2@h2", "h1|5672|u|guest h2|5672|u2|guest vhost=/"},
		{"rabbit://u@h", "h|5672|u|guest vhost=/"},
		{"rabbit://u:@h", "h|5672|u|guest vhost=/"},
		{"rabbit://", "localhost|5672|guest|guest vhost=/\n! no host given: guest@localhost is used, as oslo.messaging does"},
		{"rabbit:///v", "localhost|5672|guest|guest vhost=v\n! no host given: guest@localhost is used, as oslo.messaging does"},
		{"rabbit://,u:p@h,,/", "h|5672|u|p vhost=/"},
		{"rabbit://u%40d:p%2F%3a%25%zz%4@h/", "h|5672|u@d|p/:%%zz%4 vhost=/"},
		{"rabbit://u:p@ss:w@rd@h/", "h|5672|u|p@ss:w@rd vhost=/"},
		{"rabbit://u:p+q@h/a+b", "h|5672|u|p+q vhost=a+b"},
		{"rabbit://u:p@[2001:db8::1]:5671,u:p@[::1],u:p@::2/", "2001:db8::1|5671|u|p ::1|5672|u|p ::2|5672|u|p vhost=/"},
		{"rabbit://u:p@[fe80::1%25eth0]/", "fe80::1%25eth0|5672|u|p vhost=/"},
		{"rabbit://u:p@h:/", "h|5672|u|p vhost=/"},
		{"rabbit://u:p@h:0/", "h|5672|u|p vhost=/"},
		{"rabbit://u:p@h?ssl=1", "h|5672|u|p vhost=/ ssl=1"},
		{"rabbit://u:p@h/v?ssl=1&x=%20+y&ssl=0&a=&b&&c=d=e", "h|5672|u|p vhost=v c=d=e ssl=1,0 x=  y"},
		{"rabbit://u:p@h1,\nu:p@h2/\tv\r", "h1|5672|u|p h2|5672|u|p vhost=v"},
		{"rabbit://u:p@h/v#x", "h|5672|u|p vhost=v\n! what follows the # is ignored; in a user or password, write # as %23"},
		{"kombu+amqp://u:p@h", "h|5672|u|p vhost=/\n! a kombu+ transport is read like rabbit://"},
		{"kombu+amqps://u:p@h", "h|5672|u|p vhost=/ TLS\n! a kombu+ transport is read like rabbit://"},
		{"rabbit://u:p@rabbit_1.example.org/", "rabbit_1.example.org|5672|u|p vhost=/"},
	} {
		p, err := parseTransportURL(tc.in)
		if err != nil {
			t.Errorf("%q: %v", tc.in, err)
			continue
		}
		if diff := cmp.Diff(tc.want, show(p)); diff != "" {
			t.Errorf("%q: -want +got\n%s", tc.in, diff)
		}
	}
}

func TestBadTransportURL(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"geheim", "is not of the form"}, {"rabbit:u:geheim@h", "is not of the form"}, {"geheim://h", "names an unknown driver"},
		{"amqp://u:geheim@h", "names the driver amqp"}, {"kafka://h", "names the driver kafka"},
		{"rabbit://u:geheim/x@h/", "behind the hosts"}, {"rabbit://u:p@geheim/x@h/", "behind the hosts"},
		{"rabbit://u:p@h?geheim@h", "behind the hosts"}, {"rabbit://u:p@h/#geheim@h", "behind the hosts"},
		// Passwords with a comma in them, and a host that was to inherit.
		{"rabbit://geheim:4711,ss@h/", "host 2 has a user without a password, while those before it have no user"},
		{"rabbit://geheim:4711,s:s@h/", "host 2 has a user and a password, while those before it have no user"},
		{"rabbit://u:p@geheim,geheim@h/", "host 2 has a user without a password, while those before it have a user and"},
		{"rabbit://u:p@h1,geheim:4711,x@h2/", "host 2 has no user and password, while those before it have a user and"},
		{"rabbit://u:p@h1,,h2/", "host 3 has no user and password, while"},
		{"rabbit://u:geheim", "host 1 has a port that is not a number"}, {"rabbit://h,u:p@h:65536", "host 2 has a port"},
		{"rabbit://u:p@h:-1", "host 1 has a port"}, {"rabbit://u:p@geheim geheim", "host 1 is not a host name"},
		{"rabbit://u:p@/", "host 1 is not a host name"}, {"rabbit://[::1/", "is not a valid IPv6 address"},
		{"rabbit://[geheim]/", "is not a valid IPv6 address"}, {"rabbit://[10.0.0.1]/", "is not a valid IPv6 address"},
		{"rabbit://[::1]geheim/", "is not a valid IPv6 address"},
	} {
		_, err := parseTransportURL(tc.in)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "geheim") || strings.Contains(err.Error(), "4711") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error %v, want %q in it and nothing of the URL", tc.in, err, tc.want)
		}
	}
}

// FuzzTransportURL checks two things for any text. Used as user, password and
// virtual host, properly escaped, it comes back as it was. Written into the
// middle of a password without escaping, as operators do, neither half of that
// password appears in anything that may be printed, nor in a host, port, user or
// virtual host that others print. One head is a number: it can pass for a port.
func FuzzTransportURL(f *testing.F) {
	for _, s := range []string{"", "p", "a/b", "a@b", "@h/", "@h/?x=", "@h#", ",", "@h:1,", "@[::1]:", "%2F", "%zz", "p@ss:w", "\n", "é", "@h:1,x:y@", ",u:p@h,", ",x:", "@h,x@h,"} {
		f.Add(s)
	}
	const tail = "S3cr3tTail"
	f.Fuzz(func(t *testing.T, s string) {
		good := "rabbit://" + escapeAll("u"+s) + ":" + escapeAll("p"+s) + "@h:1/" + escapeAll(escapeAll("v"+s))
		p, err := parseTransportURL(good)
		if err != nil {
			t.Fatalf("%q: %v", good, err)
		}
		if h := p.Hosts[0]; len(p.Hosts) != 1 || h.User != "u"+s || h.Password.Reveal() != "p"+s || h.Host != "h" || h.Port != 1 || p.VHost != "v"+s {
			t.Fatalf("%q: %+v with password %q", good, p, h.Password.Reveal())
		}

		for _, head := range []string{"S3cr3tHead", "47110"} {
			if strings.Contains(s, "3cr3t") || strings.Contains(s, head) {
				continue
			}
			p, err = parseTransportURL("rabbit://user:" + head + s + tail + "@host:5672/v")
			shown := fmt.Sprintf("%v %q %v %+v", err, p.warnings, p.Transport, p.Transport)
			for _, h := range p.Hosts {
				shown += fmt.Sprint(" ", h)
				if err != nil { // Load drops the rest then
					continue
				}
				shown += fmt.Sprintf(" %s %s %d", h.User, h.Host, h.Port)
				if !validHost(h.Host) && !isIPv6(h.Host) {
					t.Fatalf("host %q", h.Host)
				}
			}
			if err == nil {
				shown += p.VHost
			}
			if strings.Contains(shown, head) || strings.Contains(shown, tail) {
				t.Fatalf("with %q in the password, this is printed: %s", s, shown)
			}
		}
	})
}

// escapeAll escapes every byte.
func escapeAll(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02x", c)
	}
	return b.String()
}

func isIPv6(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6()
}
