package config

import "fmt"

// redacted stands wherever a secret would be printed.
const redacted = "***"

// Secret is a password. Every way of printing it prints "***"; only Reveal
// gives the text. Compare with Equal, not with ==.
//
// The text sits behind a pointer because fmt cannot call our methods on a
// Secret in somebody's unexported field: it then prints by reflection, and
// what it finds that way is an address.
type Secret struct{ text *string }

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text, to be handed to whoever authenticates and to nobody
// else.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Equal reports whether both hold the same text; go-cmp uses it.
func (s Secret) Equal(o Secret) bool { return s.Reveal() == o.Reveal() }

// String implements fmt.Stringer.
func (Secret) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return redacted }

// Format implements fmt.Formatter for the verbs that ask neither of the above.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) } // fmt's own buffer never fails

// MarshalText implements encoding.TextMarshaler; JSON, YAML and zap's
// reflecting encoder ask it.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
