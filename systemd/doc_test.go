// Package systemd_test boots a machine (test/boot) with the unit installed as
// docs/install.md says, and looks at what the daemon can and can't do in it.
package systemd_test
