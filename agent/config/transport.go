package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"sort"
	"strconv"
	"strings"

	"neutron-ndp-proxy-agent/rpc/secret"
)

const (
	defaultPort = 5672
	guest       = "guest" // user and password of a URL that has none: kombu's defaults
)

// String is the broker's address, without credentials.
func (e Endpoint) String() string {
	return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
}

// String is the URL with the passwords secret.Redacted, and with them users that
// differ from host to host: a comma in a password that was not escaped makes
// its second half a user.
func (t Transport) String() string {
	hosts := make([]string, len(t.Hosts))
	for i, h := range t.Hosts {
		user := url.User(h.User).String()
		if h.User != t.Hosts[0].User || h.User != t.Hosts[len(t.Hosts)-1].User {
			user = secret.Redacted
		}
		hosts[i] = user + ":" + secret.Redacted + "@" + h.String()
	}
	return "rabbit://" + strings.Join(hosts, ",") + "/" + url.PathEscape(t.VHost)
}

// parsedURL is a transport_url taken apart.
type parsedURL struct {
	Transport
	tls      bool              // the scheme itself asks for TLS
	query    map[string]string // repeated keys are joined with commas, empty values dropped
	warnings []string
}

// parseTransportURL reads a transport_url as oslo_messaging/transport.py and
// the RabbitMQ driver do together:
//
//	rabbit://[user:password@]host[:port][,...]/[virtual host][?option=value&...]
//
// User, password and virtual host are URL-escaped. Hosts share nothing, so all
// of them have credentials of their own or none has; see parseHosts. Errors and
// warnings never quote a part of the URL: in a URL with a mistake in it, any
// part can be a password.
func parseTransportURL(raw string) (parsedURL, error) {
	// Python's urlsplit drops these, so that a URL may be continued over lines.
	s := strings.TrimLeftFunc(raw, func(r rune) bool { return r <= ' ' })
	s = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(s)

	var p parsedURL
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return p, errors.New("is not of the form rabbit://user:password@host:port/virtual_host")
	}
	switch strings.ToLower(scheme) {
	case "rabbit":
	case "kombu+amqp", "kombu+pyamqp", "kombu+rabbit":
		p.warnings = append(p.warnings, "a kombu+ transport is read like rabbit://")
	case "kombu+amqps":
		p.tls = true
		p.warnings = append(p.warnings, "a kombu+ transport is read like rabbit://")
	case "amqp", "amqps", "kafka", "fake", "zmq", "kombu":
		return p, fmt.Errorf("names the driver %s; only rabbit:// is supported", strings.ToLower(scheme))
	default:
		return p, errors.New("names an unknown driver; only rabbit:// is supported")
	}

	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	hosts, tail := rest[:end], rest[end:]
	tail, fragment, hasFragment := strings.Cut(tail, "#")
	path, query, _ := strings.Cut(tail, "?")
	// oslo.messaging would accept this, take a piece of the password for a host
	// or virtual host, and log it.
	if strings.Contains(tail+fragment, "@") {
		return p, errors.New("has an @ behind the hosts: in a user or password, write / as %2F, ? as %3F and # as %23; in a virtual host, @ as %40")
	}
	if hasFragment {
		p.warnings = append(p.warnings, "what follows the # is ignored; in a user or password, write # as %23")
	}
	// oslo.messaging unescapes the virtual host, and kombu does it again.
	if p.VHost = unescape(unescape(strings.TrimPrefix(path, "/"))); p.VHost == "" {
		p.VHost = "/"
	}
	p.query = parseQuery(query)
	if err := p.parseHosts(hosts); err != nil {
		return parsedURL{}, err // without the hosts before the mistake, which may be made of a password
	}
	return p, nil
}

// parseHosts splits at every comma, like oslo.messaging: in a password a comma
// has to be escaped. One that is not makes "neutron:12,ss@host" two hosts, of
// which the first is named after the user and has the password's head for its
// port, and logs show both. Hosts whose credentials differ in kind are therefore
// refused. oslo.messaging gives guest/guest to those without, which RabbitMQ
// lets in from its own machine only, so nothing that works is lost.
func (p *parsedURL) parseHosts(hosts string) error {
	var kind credentials
	for i, h := range strings.Split(hosts, ",") {
		if h == "" {
			continue
		}
		e, has, err := parseHost(h)
		if err != nil {
			return fmt.Errorf("host %d %w", i+1, err)
		}
		if len(p.Hosts) == 0 {
			kind = has
		} else if has != kind {
			return fmt.Errorf("host %d %v, while those before it %v: give each host its own user and password, "+
				"nothing is inherited; in a user or password, write , as %%2C", i+1, has, kind.plural())
		}
		p.Hosts = append(p.Hosts, e)
	}
	if len(p.Hosts) == 0 {
		p.Hosts = []Endpoint{{"localhost", defaultPort, guest, secret.New(guest)}}
		p.warnings = append(p.warnings, "no host given: guest@localhost is used, as oslo.messaging does")
	}
	return nil
}

// credentials is what one host of a transport_url has in front of its name.
type credentials int

const (
	noCredentials credentials = iota
	userOnly
	userAndPassword
)

// String completes "host 2 ...".
func (c credentials) String() string {
	return [...]string{"has no user and password", "has a user without a password", "has a user and a password"}[c]
}

// plural completes "hosts ...".
func (c credentials) plural() string { return strings.Replace(c.String(), "has", "have", 1) }

// parseHost reads [user[:password]@]host[:port].
func parseHost(text string) (e Endpoint, has credentials, err error) {
	e = Endpoint{Port: defaultPort, User: guest, Password: secret.New(guest)}
	hostport := text
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		hostport = text[at+1:]
		user, password, hasPassword := strings.Cut(text[:at], ":")
		if has = userOnly; hasPassword {
			has = userAndPassword
		}
		if u := unescape(user); u != "" {
			e.User = u
		}
		if pw := unescape(password); pw != "" {
			e.Password = secret.New(pw)
		}
	}
	host, port, err := splitHostPort(hostport)
	if err != nil {
		return e, has, err
	}
	e.Host = host
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return e, has, errors.New("has a port that is not a number between 1 and 65535; in a user or password, write / as %2F and , as %2C")
		}
		if n != 0 { // oslo.messaging takes 0 for "none given"
			e.Port = uint16(n)
		}
	}
	return e, has, nil
}

func splitHostPort(s string) (host, port string, err error) {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		host, rest, closed := strings.Cut(inner, "]")
		addr, err := netip.ParseAddr(host)
		if !closed || err != nil || !addr.Is6() || (rest != "" && rest[0] != ':') {
			return "", "", errors.New("is not a valid IPv6 address in brackets")
		}
		return host, strings.TrimPrefix(rest, ":"), nil
	}
	if addr, err := netip.ParseAddr(s); err == nil && addr.Is6() {
		return s, "", nil
	}
	host, port, _ = strings.Cut(s, ":")
	if !validHost(host) {
		return "", "", errors.New("is not a host name or address; in a user or password, write / as %2F, , as %2C and @ as %40")
	}
	return host, port, nil
}

// validHost admits what DNS names and IPv4 addresses are made of, and the
// underscore that container platforms put into names.
func validHost(s string) bool {
	for _, c := range []byte(s) {
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 253
}

// parseQuery is Python's parse_qs with repeated keys joined.
func parseQuery(s string) map[string]string {
	query := map[string]string{}
	for _, pair := range strings.Split(s, "&") {
		key, value, _ := strings.Cut(strings.ReplaceAll(pair, "+", " "), "=")
		if value == "" {
			continue
		}
		key, value = unescape(key), unescape(value)
		if before, repeated := query[key]; repeated {
			value = before + "," + value
		}
		query[key] = value
	}
	return query
}

// unescape is Python's unquote: a % that starts no escape stays as it is.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if b, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(b))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// sortedKeys makes messages come in the same order each time.
func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
