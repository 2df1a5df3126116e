package preflight

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"neutron-ndp-proxy-agent/agent/plaintext"
)

// Status is how one thing stands.
type Status string

// From the best to the worst.
const (
	OK   Status = "ok"
	Warn Status = "warn" // the daemon can work, or it could not be looked at
	Fail Status = "fail" // it can't work, or not as it should
)

// Line is what one check found.
type Line struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Found  string `json:"found"`
	Fix    string `json:"fix"` // what to do; "" with ok
}

// Report is what all checks found, in a fixed order of checks.
type Report struct {
	Version string `json:"version"`
	Host    string `json:"host"`
	Result  Status `json:"result"` // the worst of the lines
	Lines   []Line `json:"checks"`
}

func ok(format string, args ...any) Line {
	return Line{Status: OK, Found: fmt.Sprintf(format, args...)}
}

func warn(fix, format string, args ...any) Line {
	return Line{Status: Warn, Found: fmt.Sprintf(format, args...), Fix: fix}
}

func fail(fix, format string, args ...any) Line {
	return Line{Status: Fail, Found: fmt.Sprintf(format, args...), Fix: fix}
}

// notChecked is for what there was no way to look at.
func notChecked(fix, format string, args ...any) Line {
	return warn(fix, "not checked: "+format, args...)
}

// named gives lines the name of a check.
func named(check string, lines ...Line) []Line {
	for i := range lines {
		lines[i].Check = check
	}
	return lines
}

// maxText bounds a text of a line, in bytes.
const maxText = 2048

// printable makes a text fit for one line of a terminal: what was found may come from
// a file, another process or another machine.
func printable(s string) string {
	return plaintext.Line(strings.ReplaceAll(s, "\n", " "), maxText)
}

func (r *Report) finish() {
	r.Result = OK
	for i := range r.Lines {
		l := &r.Lines[i]
		l.Found, l.Fix = printable(l.Found), printable(l.Fix)
		if l.Status == Fail || l.Status == Warn && r.Result == OK {
			r.Result = l.Status
		}
	}
}

// JSON writes the report for machines, indented.
func (r Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Print writes the report for people: a line for each thing, and the fix below it.
// paint colours a status that is already padded; nil: no colours.
func (r Report) Print(w io.Writer, paint func(Status, string) string) error {
	if paint == nil {
		paint = func(_ Status, text string) string { return text }
	}
	var b strings.Builder
	count := map[Status]int{}
	for i, l := range r.Lines {
		count[l.Status]++
		fmt.Fprintf(&b, "%s  %-13s %s\n", paint(l.Status, fmt.Sprintf("%-4s", l.Status)), l.Check, l.Found)
		// What mends several in a row is said once, below the last.
		if next := i + 1; l.Fix != "" && (next == len(r.Lines) || r.Lines[next].Fix != l.Fix || r.Lines[next].Check != l.Check) {
			fmt.Fprintf(&b, "      %-13s > %s\n", "", l.Fix)
		}
	}
	fmt.Fprintf(&b, "\n%s: %d ok, %d warn, %d fail\n", r.Host, count[OK], count[Warn], count[Fail])
	_, err := io.WriteString(w, b.String())
	return err
}
