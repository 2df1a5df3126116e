package config

import (
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strings"

	"neutron-ndp-proxy-agent/agent/config/inifile"
)

// Error is one mistake of the operator's, on one line.
type Error struct {
	Where  string // "file:line", "environment variable X", or "" when something is missing everywhere
	Option string // "[group] option", or "" when it is about no single option
	Err    error
}

// Error implements error: where: option: what.
func (e *Error) Error() string {
	s := e.Err.Error()
	if e.Option != "" {
		s = e.Option + ": " + s
	}
	if e.Where != "" {
		s = e.Where + ": " + s
	}
	return printable(s)
}

// Unwrap gives the cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// Load reads, merges and checks the configuration. The error joins every
// mistake found, each on a line of its own, and then the Config is nil.
// Warnings are returned in both cases. Load writes nothing and opens nothing
// but the configuration and TLS files.
func Load(a Args) (*Config, []Warning, error) {
	x := Examine(a)
	if len(x.Mistakes) > 0 {
		return nil, x.Warnings, errors.Join(x.Mistakes...)
	}
	return x.Config, x.Warnings, nil
}

// Examined is all that there is to say of a configuration, usable or not.
type Examined struct {
	// Config holds what was understood: with mistakes, an option that is wrong is at
	// its default or empty, and nothing may be run with it.
	Config   *Config
	Warnings []Warning
	Mistakes []error // each on a line of its own; none: Load would succeed
}

// Examine is [Load] for who wants to look at the rest although something is wrong.
func Examine(a Args) Examined {
	files, errs := readSources(a)
	l := loader{
		layered: newLayered(files, a.LookupEnv),
		t:       &target{Config: &Config{Origins: map[string]string{}}},
		files:   files,
		errs:    errs,
		partial: len(errs) > 0,
	}
	for _, f := range files {
		l.t.Files = append(l.t.Files, f.Path)
	}
	l.askHostname(a)
	for _, r := range rows() {
		l.option(r)
	}
	l.unknown()
	l.strangeSections()
	l.transport()
	l.check()
	return Examined{l.t.Config, l.warnings, l.errs}
}

// loader collects what one Load finds out.
type loader struct {
	*layered
	t        *target
	files    []*inifile.File
	partial  bool // some file could not be read, so that nothing can be called missing
	warnings []Warning
	errs     []error
}

func (l *loader) fail(where string, n name, err error) {
	option := ""
	if n != (name{}) {
		option = n.String()
	}
	l.errs = append(l.errs, &Error{Where: where, Option: option, Err: err})
}

func (l *loader) warn(where, format string, args ...any) {
	l.warnings = append(l.warnings, Warning{Where: where, Text: fmt.Sprintf(format, args...)})
}

// askHostname gives `host` its default, as oslo does with
// socket.gethostname(). A failure is an error only if `host` is
// not set.
func (l *loader) askHostname(a Args) {
	host := name{groupDefault, "host"}
	if a.Hostname == nil {
		return
	}
	h, err := a.Hostname()
	if err != nil {
		if _, set := l.find(host); !set {
			l.fail("", host, fmt.Errorf("not set, and the machine's name is unknown: %w", err))
			h = "unknown" // reported once is enough
		}
	}
	l.defaults[host] = h
}

// option finds and stores the value of one option.
func (l *loader) option(r row) {
	f, err := l.value(r.name())
	if err != nil && r.secret() {
		// The name after the $ is part of the secret, if no reference was meant.
		err = errors.New("a $ in it refers to an option that no file sets; a literal $ is written $$")
	}
	if err == nil {
		err = r.set(l.t, f.text)
	}
	if err != nil && f.where == "" && f.text != r.Default && l.defaults[r.name()] == "" {
		return // the default refers to an option that is wrong, which is said of that one
	}
	if err != nil {
		l.fail(f.where, f.as, err)
		_ = r.set(l.t, r.Default) // for Examine; one that refers to others is not set
		return
	}
	if f.where == "" {
		return
	}
	l.t.Origins[r.name().String()] = f.where
	if f.as != r.name() {
		l.warn(f.where, "%v is a deprecated name of %v", f.as, r.name())
	}
}

// unknown finds options in [ndp_proxy] that do not exist or are given twice in
// one file. Other groups are not ours to judge.
func (l *loader) unknown() {
	var names []string
	for _, r := range ndpProxyRows() {
		names = append(names, r.Name)
	}
	for _, f := range l.files {
		seen := map[string]int{}
		for _, s := range f.Sections {
			if normalize(s.Name) != groupNDPProxy {
				continue
			}
			for _, e := range s.Entries {
				n := name{groupNDPProxy, e.Key}
				where := fmt.Sprintf("%s:%d", f.Path, e.Line)
				if _, ours := l.known[n]; !ours && !optionName.MatchString(e.Key) {
					// It may be the rest of a transport_url that was broken over lines.
					l.fail(where, name{}, errors.New("what stands before the = or : is not the name of an option (not shown)"))
				} else if !ours {
					l.fail(where, n, errors.New("unknown option"+l.suggest(e.Key, names)))
				} else if before, twice := seen[e.Key]; twice {
					l.warn(where, "%v was already set in line %d; this value counts", n, before)
				}
				seen[e.Key] = e.Line
			}
		}
	}
}

// optionName is what an option may be called, and in what length. Hyphens are
// of a command line, and a frequent mistake.
var optionName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)

// suggest names the option that was probably meant: one of another group
// spelled like this, or one of ours spelled nearly like this.
func (l *loader) suggest(key string, ours []string) string {
	for _, r := range rows() {
		if r.Name == key {
			return fmt.Sprintf("; it belongs to [%s]", r.Group)
		}
	}
	return didYouMean(key, ours)
}

// strangeSections warns about sections that nobody reads, but whose names look
// like one that is read.
func (l *loader) strangeSections() {
	for _, f := range l.files {
		for _, s := range f.Sections {
			where := fmt.Sprintf("%s:%d", f.Path, s.Line)
			switch group := normalize(s.Name); {
			case group == "default":
				l.warn(where, "[%s] is not [DEFAULT], so nobody reads it", s.Name)
			case group == groupNDPProxy:
			case editDistance(strings.TrimSpace(s.Name), groupNDPProxy) <= 2,
				editDistance(strings.TrimSpace(s.Name), "ndp_proxy_agent") <= 2:
				l.warn(where, "[%s] is not [%s], so nobody reads it", s.Name, groupNDPProxy)
			}
		}
	}
}

// transport parses transport_url and applies its query to the rabbit options.
func (l *loader) transport() {
	n := name{groupDefault, "transport_url"}
	if l.t.NDPProxy.Source != SourceNeutron {
		return
	}
	f, set := l.find(n)
	if !set || l.t.transportURL.Reveal() == "" {
		if l.partial || l.badOption(n) {
			return
		}
		l.fail(f.where, n, errors.New("not set"+l.whyNoTransport()))
		return
	}
	p, err := parseTransportURL(l.t.transportURL.Reveal())
	if err != nil {
		l.fail(f.where, n, err)
		return
	}
	l.t.Transport = p.Transport
	if p.tls {
		l.t.Rabbit.SSL = true
	}
	for _, w := range p.warnings {
		l.warn(f.where, "%v: %s", n, w)
	}
	l.query(p.query, f.where)
}

// badOption reports whether an error about n was already recorded.
func (l *loader) badOption(n name) bool {
	for _, err := range l.errs {
		var e *Error
		if errors.As(err, &e) && e.Option == n.String() {
			return true
		}
	}
	return false
}

// whyNoTransport adds what may help to find out why there is no transport_url.
func (l *loader) whyNoTransport() string {
	if len(l.files) == 0 {
		return "; no configuration file was found"
	}
	for _, group := range []string{groupRabbit, groupDefault} {
		for _, option := range []string{"rabbit_host", "rabbit_hosts", "rabbit_password"} {
			if f, ok := l.find(name{group, option}); ok {
				return fmt.Sprintf("; %v (%s) has been without effect in Neutron for years", f.as, f.where)
			}
		}
	}
	return " in " + strings.Join(l.t.Files, ", ") + " (is neutron.conf among the files?)"
}

// query applies the options in a transport_url's query. Values are not quoted
// in messages: they may be the rest of a password with a '?' in it.
func (l *loader) query(query map[string]string, where string) {
	unused := map[string]bool{}
	for _, u := range unusedRabbitOptions() {
		unused[u] = true
	}
	for _, key := range sortedKeys(query) {
		n := name{groupRabbit, key}
		r, known := l.known[n]
		switch {
		case unused[key]:
		case !known:
			l.warn(where, "an option in the query of transport_url is not one of %s that mean something here; ignored", groupRabbit)
		default:
			if err := r.set(l.t, query[key]); err != nil {
				l.fail(where, n, errors.New("the value in the query of transport_url is not valid"))
				continue
			}
			l.t.Origins[n.String()] = where + " (transport_url)"
		}
	}
}

// sortedRows is all options by group, ours last: where one looks first.
func sortedRows() []row {
	all := rows()
	order := map[string]int{groupDefault: 0, groupAgent: 1, groupRabbit: 2, groupNDPProxy: 3}
	sort.SliceStable(all, func(i, j int) bool { return order[all[i].Group] < order[all[j].Group] })
	return all
}
