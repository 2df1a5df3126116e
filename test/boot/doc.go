// Package boot starts systemd as process 1 of a small machine of its own, so that
// units, users, packages and restarts are tested by what really runs them.
//
// The machine is made of namespaces (pid, mount, network, UTS, IPC, cgroup) and of
// an overlay over the running system's files: everything that is installed here is
// installed there, and nothing that is written there stays. Only what a test
// enables is started, besides the journal, sysusers and tmpfiles.
//
//	m := boot.Start(t, func(root string) { install(root) })
//	m.Run("systemctl", "enable", "--now", "some.service")
//	m.Run("ip", "netns", "add", "router")
//
// StartFrom takes the files of a tarball in the place of the running system's, such
// as those of a Debian that mmdebstrap has just made.
//
// Everything goes when the test ends. Tests that are not run by root are skipped.
//
// What it is not: the kernel is shared, so /proc/sys is read-only but for
// /proc/sys/net, and where the host runs cgroup v1 controllers, as in CI, limits of
// memory and tasks are not enforced.
package boot
