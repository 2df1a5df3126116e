package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"neutron-ndp-proxy-agent/rpc/secret"
)

// set stores the value text of option r in t. The error says what is wrong and
// what would be right, and never quotes a secret.
func (r row) set(t *target, text string) error {
	if r.nonEmpty && text == "" {
		return errors.New("must not be empty")
	}
	switch f := r.field(t).(type) {
	case *secret.Text:
		*f = secret.New(text)
	case *string:
		if err := r.checkString(text); err != nil {
			return err
		}
		*f = text
	case *[]string:
		items := parseList(text)
		for _, i := range items {
			if r.item == nil {
				break
			}
			if err := r.item(i); err != nil {
				return err
			}
		}
		*f = items
	case *bool:
		v, err := parseBool(text)
		if err != nil {
			return err
		}
		*f = v
	case *int:
		v, err := r.number(text, math.MaxInt32)
		if err != nil {
			return err
		}
		*f = int(v)
	case *uint8:
		v, err := r.number(text, math.MaxUint8)
		if err != nil {
			return err
		}
		*f = uint8(v)
	case *time.Duration:
		v, err := r.number(text, math.Floor(math.MaxInt64/2/float64(r.Unit)))
		if err != nil {
			return err
		}
		*f = time.Duration(math.Round(v * float64(r.Unit)))
	default:
		panic(fmt.Sprintf("config: %v has a field of type %T", r.name(), f)) // a mistake in the table, found by any test
	}
	return nil
}

// get is the inverse of set: the value as it could stand in a file. Secrets
// come out redacted.
func (r row) get(t *target) string {
	switch f := r.field(t).(type) {
	case *secret.Text:
		return secret.Redacted
	case *string:
		return *f
	case *[]string:
		return strings.Join(*f, ",")
	case *bool:
		return strconv.FormatBool(*f)
	case *int:
		return strconv.Itoa(*f)
	case *uint8:
		return strconv.Itoa(int(*f))
	case *time.Duration:
		return strconv.FormatFloat(float64(*f)/float64(r.Unit), 'f', -1, 64)
	default:
		return fmt.Sprint(f)
	}
}

// quote is a value as an error may show it. One with a URL in it is not shown:
// it may be the transport_url, by a $reference or in the wrong line.
func quote(text string) string {
	if hasURL(text) {
		return "a value with a URL in it (not shown)"
	}
	return strconv.Quote(text)
}

func hasURL(text string) bool { return strings.Contains(text, "://") }

func (r row) checkString(text string) error {
	switch {
	case len(r.Choices) > 0:
		values := make([]string, len(r.Choices))
		for i, c := range r.Choices {
			if c.Value == text {
				return nil
			}
			values[i] = c.Value
		}
		return fmt.Errorf("%s is not one of %s%s", quote(text), strings.Join(values, ", "), didYouMean(text, values))
	case r.pattern != "" && !regexp.MustCompile(`^(?:`+r.pattern+`)$`).MatchString(text):
		return fmt.Errorf("%s is not %s", quote(text), r.shape)
	case r.Kind == Path && hasURL(text):
		return fmt.Errorf("%s is not a path", quote(text))
	case strings.ContainsRune(text, 0):
		return fmt.Errorf("%s has a NUL character in it", quote(text))
	case r.Kind == Path && r.Group == groupNDPProxy && text != "" && !strings.HasPrefix(text, "/"):
		return fmt.Errorf("%s is not an absolute path", quote(text))
	}
	return nil
}

// number parses and checks a number; limit is what the field can hold.
func (r row) number(text string, limit float64) (float64, error) {
	parse := parseInt
	if r.Kind == Float {
		parse = parseFloat
	}
	v, err := parse(text)
	if err != nil {
		return 0, err
	}
	least, most := -limit, limit
	if r.Range != nil {
		least, most = max(least, r.Range.Min), min(most, r.Range.Max)
	}
	if v >= least && v <= most { // false for NaN
		return v, nil
	}
	unit := ""
	if r.Unit != 0 {
		unit = " " + unitName(r.Unit)
	}
	if r.Range != nil && math.IsInf(r.Range.Max, 1) && v < least {
		return 0, fmt.Errorf("%s is out of range: it must be at least %s%s", text, number(least), unit)
	}
	return 0, fmt.Errorf("%s is out of range: it must be between %s and %s%s", text, number(least), number(most), unit)
}

// number writes v as a person would.
func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func unitName(d time.Duration) string {
	if d == time.Millisecond {
		return "milliseconds"
	}
	return "seconds"
}

// parseBool takes what oslo.config's Boolean takes, in any case.
func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "1", "on", "yes":
		return true, nil
	case "false", "0", "off", "no":
		return false, nil
	}
	return false, fmt.Errorf("%s is not a boolean: true, false, yes, no, on, off, 1 or 0", quote(text))
}

var ( // Python's int() and float(), for ASCII digits
	intSyntax   = regexp.MustCompile(`^[+-]?[0-9](?:_?[0-9])*$`)
	floatSyntax = regexp.MustCompile(`^[+-]?(?:[0-9](?:_?[0-9])*\.?(?:[0-9](?:_?[0-9])*)?|\.[0-9](?:_?[0-9])*)(?:[eE][+-]?[0-9](?:_?[0-9])*)?$`)
)

func parseInt(text string) (float64, error) {
	s := strings.TrimSpace(text)
	if !intSyntax.MatchString(s) {
		return 0, fmt.Errorf("%s is not an integer", quote(text))
	}
	// A float64 is exact far beyond any option's range.
	return toFloat(s)
}

func parseFloat(text string) (float64, error) {
	s := strings.TrimSpace(text)
	if !floatSyntax.MatchString(s) {
		return 0, fmt.Errorf("%s is not a number", quote(text))
	}
	return toFloat(s)
}

// toFloat converts a checked number; what overflows becomes an infinity, which
// no range admits.
func toFloat(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("%s is not a number", quote(s))
	}
	return v, nil
}

// parseList takes what oslo.config's List takes: items between commas, commas
// at the end do not count, those in between make empty items.
func parseList(text string) []string {
	s := strings.TrimRight(strings.TrimSpace(text), ",")
	if s == "" {
		return nil
	}
	items := strings.Split(s, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}
