package config

import "flag"

// Args is what [Load] needs to know from outside. The zero value reads the
// default files and asks nobody.
type Args struct {
	// Sources are the --config-file and --config-dir arguments in the order of
	// the command line, which is their precedence: the later one wins.
	// AddFlags fills it.
	Sources []Source

	// Defaults replaces DefaultSources when it is not nil.
	Defaults []Source

	// Hostname answers the default of `host`, os.Hostname in production. When
	// nil or failing, `host` must be in a file.
	Hostname func() (string, error)

	// LookupEnv reads the environment, os.LookupEnv in production: oslo.config
	// takes OS_<GROUP>__<OPTION> over any file. Nil reads no environment.
	LookupEnv func(string) (string, bool)
}

// Source is one file, or one directory whose *.conf files are read in the
// order of their names.
type Source struct {
	Path string
	Dir  bool
}

// File is a --config-file.
func File(path string) Source { return Source{Path: path} }

// Dir is a --config-dir.
func Dir(path string) Source { return Source{Path: path, Dir: true} }

// DefaultSources is what is read, as far as it exists, when the command line
// does not say: the files when no --config-file is given, the directories when
// no --config-dir is given (the two are independent in oslo.config). They are
// Neutron's and the L3 agent's own places followed by ours.
func DefaultSources() []Source {
	return []Source{
		File("/usr/share/neutron/neutron-dist.conf"),
		File("/etc/neutron/neutron.conf"),
		File("/etc/neutron/l3_agent.ini"),
		File("/etc/neutron/ndp_proxy_agent.ini"),
		Dir("/etc/neutron/neutron.conf.d"),
		Dir("/etc/neutron/neutron-l3-agent.conf.d"),
		Dir("/etc/neutron/neutron-ndp-proxy-agent.conf.d"),
	}
}

// AddFlags registers --config-file and --config-dir, both repeatable, and
// keeps the order in which they are given.
func (a *Args) AddFlags(fs *flag.FlagSet) {
	add := func(dir bool) func(string) error {
		return func(path string) error {
			a.Sources = append(a.Sources, Source{Path: path, Dir: dir})
			return nil
		}
	}
	fs.Func("config-file", "read this oslo.config `file`; repeatable, the later wins", add(false))
	fs.Func("config-dir", "read the *.conf files of this `directory`; repeatable, the later wins", add(true))
}
