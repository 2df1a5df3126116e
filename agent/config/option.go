package config

import (
	"time"

	"neutron-ndp-proxy-agent/rpc/secret"
)

// Kind is the type of an option's value, as oslo.config writes it down.
type Kind int

// The kinds of values.
const (
	String Kind = iota
	Path
	Choice
	Bool
	Int
	Float
	List
)

// String is the kind as oslo-config-generator names it.
func (k Kind) String() string {
	switch k {
	case Bool:
		return "boolean value"
	case Int:
		return "integer value"
	case Float:
		return "floating point value"
	case List:
		return "list value"
	default: // a path and a choice are strings with conditions
		return "string value"
	}
}

// Option describes one option: all there is to know for parsing it, for the
// sample file and for the reference.
type Option struct {
	Group   string // DEFAULT, agent, oslo_messaging_rabbit or ndp_proxy
	Name    string
	Kind    Kind
	Unit    time.Duration  // of a number: time.Second, time.Millisecond, or 0
	Default string         // as it would stand in a file; "" = none
	Range   *Range         // of a number; nil = any
	Choices []ChoiceOption // of a Choice, in the order to show
	Help    string         // one or more sentences; paragraphs are separated by "\n\n"
	Since   string         // our version that has it first; "" for Neutron's own
}

// Range is the numbers that an option takes, both ends included. Max may be
// +Inf.
type Range struct{ Min, Max float64 }

// ChoiceOption is one value of a Choice.
type ChoiceOption struct{ Value, Help string }

// Options returns the table of [ndp_proxy] in the order of the sample file.
func Options() []Option {
	rows := ndpProxyRows()
	opts := make([]Option, len(rows))
	for i, r := range rows {
		opts[i] = r.Option
	}
	return opts
}

// row is an option together with its place in the configuration.
type row struct {
	Option
	aliases  []name // deprecated names, honoured with a warning
	pattern  string // a regular expression for the whole value of a String
	shape    string // the pattern in words
	nonEmpty bool
	off      bool               // the default is empty, and that means none
	item     func(string) error // what is wrong with an item of a List; nil: nothing can be
	unused   string             // of an option that is only looked at: why its value has no effect here
	// field points to where the value is kept: *string, *bool, *int, *uint8,
	// *time.Duration, *[]string or *secret.Text.
	field func(*target) any
}

func (r row) name() name { return name{r.Group, r.Name} }

// secret reports whether the value must not be shown, nor any part of it.
func (r row) secret() bool {
	_, is := r.field(&target{Config: &Config{}}).(*secret.Text)
	return is
}

// name is an option's full name, with the group as oslo.config normalizes it:
// in lower case, except DEFAULT.
type name struct{ group, option string }

// String is the form used in messages: [group] option.
func (n name) String() string { return "[" + n.group + "] " + n.option }

// target is what the rows point into: the Config, and values that Config shows
// in another shape.
type target struct {
	*Config
	transportURL secret.Text
	ignored      ignored
}

// ignored is where rows with a reason in unused point.
type ignored struct {
	logConfig, compression                          string
	journal, syslog, cancelOnFailover, queueManager bool
	heartbeatRate                                   int
	missingConsumerRetry, transientQueuesTTL        time.Duration
}

// rows is every option that is read, ours and theirs.
func rows() []row {
	all := neutronRows()
	all = append(all, rabbitRows()...)
	return append(all, ndpProxyRows()...)
}
