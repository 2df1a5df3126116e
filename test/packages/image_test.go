//go:build packages

package packages

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/test/boot"
)

// What the container image holds, with the mounts and capabilities of docs/install.md
// and nothing else. systemd stands in for a container's runtime.
func TestImage(t *testing.T) {
	t.Parallel()
	context := filepath.Join(t.TempDir(), "image")
	run(t, "../../configs/packaging/container/build", built(t, ".tar.gz"), context, "test")
	m := boot.StartFrom(t, clean, func(root string) {
		run(t, "cp", "-R", filepath.Join(context, "root"), root+"/image")
		configure(t, root)
	})
	m.Shell("mkdir -p /run/netns /run/" + name + "; mv /etc/neutron /conf; printf '[ndp_proxy]\\nsource = file\\n' >/conf/ndp_proxy_agent.ini; chmod 0660 /conf/ndp_proxy*")
	if out, err := m.Try("test", "-e", "/usr/bin/"+name); err == nil {
		t.Fatalf("the machine has the program itself: %s", out)
	}
	// The runtime of a container makes /run/netns a mount point and shares it.
	m.Shell("mount --bind /run/netns /run/netns; mount --make-shared /run/netns")
	m.Run("systemd-run", "--unit=image", "-p", "RootDirectory=/image", "-p", "MountAPIVFS=yes", "-p", "ProtectSystem=strict",
		"-p", "BindPaths=/run/netns /run/"+name, "-p", "BindReadOnlyPaths=/conf:/etc/neutron", "-p", "NoNewPrivileges=yes",
		"-p", "CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_ADMIN", "/usr/bin/"+name)
	// What comes later, comes there too.
	m.Shell(network)
	m.Await(10*time.Second, "the instance answers", func() bool { return answered(m) })
	status := []string{"nsenter", "--all", "-t", m.Property("image", "MainPID"), "/usr/bin/" + name, "status"}
	m.Await(10*time.Second, "the health check is content", func() bool {
		out, err := m.Try(status...)
		return err == nil && strings.Contains(out, "in sync")
	})
	m.Run("systemctl", "stop", "image")
	if !answered(m) {
		t.Error("the instance does not answer any more when the container is gone")
	}
}
