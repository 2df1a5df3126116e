package secret

import "fmt"

// Redacted stands wherever a secret would be printed.
const Redacted = "***"

// Text is a password. Every way of printing it prints "***"; only Reveal gives
// the text. Compare with Equal, not with ==.
//
// The text sits behind a pointer because fmt cannot call our methods on a Text
// in somebody's unexported field: it then prints by reflection, and what it
// finds that way is an address. A string type with methods would print itself
// there, and for a verb that suits no string.
type Text struct{ text *string }

// New wraps text.
func New(text string) Text { return Text{&text} }

// Reveal returns the text, to be handed to whoever authenticates and to nobody
// else.
func (s Text) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Equal reports whether both hold the same text; go-cmp uses it.
func (s Text) Equal(o Text) bool { return s.Reveal() == o.Reveal() }

// String implements fmt.Stringer.
func (Text) String() string { return Redacted }

// GoString implements fmt.GoStringer.
func (Text) GoString() string { return Redacted }

// Format implements fmt.Formatter for the verbs that ask neither of the above.
func (Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Redacted)) } // fmt's own buffer never fails

// MarshalText implements encoding.TextMarshaler; JSON, XML, YAML and zap's
// reflecting encoder ask it.
func (Text) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
