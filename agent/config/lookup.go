package config

import (
	"fmt"
	"regexp"
	"strings"

	"neutron-ndp-proxy-agent/agent/config/inifile"
)

// layered answers what oslo.config would find for an option in the environment
// and in files of rising precedence.
type layered struct {
	layers   []map[name][]found // one for each file
	env      func(string) (string, bool)
	known    map[name]row
	defaults map[name]string // of this machine, over the table's
	// references counts those of the value that is being substituted.
	references int
}

// maxReferences bounds the references in one value, counting those in what they
// stand for: each may stand for more of them.
const maxReferences = 1000

// found is a value and where it stands.
type found struct {
	text  string
	as    name   // the name that was used, which may be a deprecated one
	where string // file:line, or "environment variable X"
}

func newLayered(files []*inifile.File, env func(string) (string, bool)) *layered {
	l := &layered{env: env, known: map[name]row{}, defaults: map[name]string{}}
	if l.env == nil {
		l.env = func(string) (string, bool) { return "", false }
	}
	for _, r := range rows() {
		l.known[r.name()] = r
	}
	for _, f := range files {
		layer := map[name][]found{}
		for _, s := range f.Sections {
			for _, e := range s.Entries {
				n := name{normalize(s.Name), e.Key}
				layer[n] = append(layer[n], found{e.Value, n, fmt.Sprintf("%s:%d", f.Path, e.Line)})
			}
		}
		l.layers = append(l.layers, layer)
	}
	return l
}

// normalize folds a group's name as oslo.config does.
func normalize(section string) string {
	if section == groupDefault {
		return section
	}
	return strings.ToLower(section)
}

// find returns the value that counts: the environment's, else the last file's
// that has one, and there the current name before a deprecated one and the last
// line before earlier ones.
func (l *layered) find(n name) (found, bool) {
	variable := "OS_" + strings.ToUpper(n.group) + "__" + strings.ToUpper(n.option)
	if v, ok := l.env(variable); ok {
		return found{v, n, "environment variable " + variable}, true
	}
	names := append([]name{n}, l.known[n].aliases...)
	for i := len(l.layers) - 1; i >= 0; i-- {
		for _, as := range names {
			if all := l.layers[i][as]; len(all) > 0 {
				return all[len(all)-1], true
			}
		}
	}
	return found{}, false
}

// value is find with substitution done and the default filled in; where is ""
// for a default.
func (l *layered) value(n name) (f found, err error) {
	f, ok := l.find(n)
	if !ok {
		if d, own := l.defaults[n]; own {
			return found{text: d, as: n}, nil
		}
		f = found{text: l.known[n].Default, as: n}
	}
	raw := f.text
	l.references = 0
	f.text, err = l.substitute(raw, n, nil)
	return f, err
}

// reference is a Python string.Template with oslo.config's idea of a name:
// $$, $name, ${name}, where a name may have dots in it. Anything else after a
// $ is left as it is.
var reference = regexp.MustCompile(`(?i)\$(?:(\$)|([_a-z][._a-z0-9]*)|\{([_a-z][._a-z0-9]*)\})`)

// substitute replaces references in the value of option n. The names in stack
// are being substituted already.
func (l *layered) substitute(text string, n name, stack []name) (string, error) {
	for _, s := range stack {
		if s == n {
			return "", fmt.Errorf("%v refers to itself", n)
		}
	}
	stack = append(stack, n)
	var failed error
	text = strings.ReplaceAll(text, `\$`, `$$`)
	out := reference.ReplaceAllStringFunc(text, func(m string) string {
		sub := reference.FindStringSubmatch(m)
		if sub[1] != "" {
			return "$"
		}
		v, err := l.resolve(sub[2]+sub[3], n.group, stack)
		if failed == nil {
			failed = err
		}
		return v
	})
	return out, failed
}

// resolve finds what a reference in an option of group means: an option of the
// same group, of the group it names, or of DEFAULT. Of options that only
// Neutron knows, the defaults are unknown here; such a reference fails.
func (l *layered) resolve(ref, group string, stack []name) (string, error) {
	if l.references++; l.references > maxReferences {
		return "", fmt.Errorf("more than %d references", maxReferences)
	}
	candidates := []name{{group, ref}, {groupDefault, ref}}
	if g, o, dotted := strings.Cut(ref, "."); dotted {
		candidates = []name{{normalize(g), o}, {groupDefault, ref}}
	}
	for _, c := range candidates {
		if f, ok := l.find(c); ok {
			return l.substitute(f.text, c, stack)
		}
		if d, ok := l.defaults[c]; ok {
			return d, nil
		}
		if r, ok := l.known[c]; ok {
			return l.substitute(r.Default, c, stack)
		}
	}
	return "", fmt.Errorf("$%s refers to an option that no file sets; a literal $ is written $$", ref)
}
