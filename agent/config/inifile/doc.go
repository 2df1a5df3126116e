// Package inifile reads the file syntax of oslo.config, and nothing else, with
// the line number of every value.
//
// It is not INI as other programs know it, which is why no general INI library
// reads it right (docs/decisions/0003):
//
//   - a line that starts with a space or tab continues the value of the line
//     before; the lines are joined with newlines. After a blank line, a
//     comment or a section there is nothing to continue, which is an error;
//   - '#' and ';' make a comment only as the first character of a line: in
//     `a = b # c` the value is `b # c`;
//   - key and value are separated by the first '=' or ':', whichever comes
//     first, and trimmed;
//   - a value whose first line begins and ends with the same quote loses that
//     pair of quotes;
//   - names of sections and keys are taken as written, and a section or key may
//     come more than once: all of it is kept, in order.
//
// The rules were read from oslo_config/iniparser.py, which is the same in 9.0
// (Zed) and 10.x, and are compared with it by the tests of the lab lane.
package inifile
