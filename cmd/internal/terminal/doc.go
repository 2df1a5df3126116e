// Package terminal is how a command shows something to people: colour, the width of
// the screen, tables, and a picture that is drawn again and again.
//
//	var mode terminal.Mode
//	flags.Var(&mode, "color", terminal.Usage)
//	...
//	screen := terminal.Of(stdout, mode, os.LookupEnv)
//	fmt.Fprintln(stdout, screen.Paint(terminal.Bad, "FAIL"), "no broker")
//
//	table := terminal.Table{Head: []string{"ROUTER", "STATE", "WHAT"}}
//	table.Row(terminal.Text(id), terminal.Cell{Text: "failed", Style: terminal.Bad}, terminal.Text(why))
//	_, err := io.WriteString(stdout, table.String(screen))
//
// Colour is off where stdout is no terminal, where TERM is dumb, and where NO_COLOR
// (https://no-color.org) is set and not empty, unless the operator says --color=always.
// It only ever repeats what the words say.
//
// Everything that goes through [Screen.Paint] and [Table] is made printable
// (package agent/plaintext): no control character of a name reaches the terminal. What is
// written in another way has to go through [plaintext.Line] first. Alignment counts runes,
// so colour comes last, by these two.
package terminal
