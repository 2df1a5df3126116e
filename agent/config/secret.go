package config

import "fmt"

// redacted stands wherever a secret would be printed.
const redacted = "***"

// Secret is a password. Every way of printing it prints "***"; only Reveal
// gives the text.
type Secret struct{ text string }

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the text, to be handed to whoever authenticates and to nobody
// else.
func (s Secret) Reveal() string { return s.text }

// Equal compares two secrets; go-cmp uses it.
func (s Secret) Equal(o Secret) bool { return s.text == o.text }

// String implements fmt.Stringer.
func (Secret) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return redacted }

// Format implements fmt.Formatter, so that no verb (%d, %x, %+v) gets at the
// text by reflection.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) } // fmt reports its own write errors

// MarshalText implements encoding.TextMarshaler: JSON, YAML and zap's
// reflection encoder use it.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON implements json.Marshaler.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
