//go:build packages

package packages

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/test/boot"
)

// The rpm in a Debian: its files and scripts are used as rpm does, but what it
// requires is not there by that name, and there are no presets.
func TestRPM(t *testing.T) {
	t.Parallel()
	rpm := built(t, ".rpm")
	m := boot.StartFrom(t, clean, func(root string) { configure(t, root) })
	m.Shell(network + "install -d -m 0750 /var/log/neutron")
	before := files(m)
	there := give(t, m, rpm)

	if out := m.Run("rpm", "--install", "--nodeps", there); strings.Contains(out, "rror") || strings.Contains(out, "arning") {
		t.Errorf("rpm --install: %s", out)
	}
	if got := m.Property(unit, "ActiveState"); got != "inactive" {
		t.Errorf("an rpm starts nothing, and the unit is %s", got)
	}
	if got := m.Run("stat", "-c", "%U:%G:%a", ini); got != "root:neutron:640" {
		t.Errorf("%s is %s", ini, got)
	}
	if got, err := m.Try("rpm", "--verify", "--nodeps", name); err != nil {
		t.Errorf("rpm --verify: %s", got)
	}
	m.Run("systemctl", "enable", "--now", unit)
	pid := running(m, "0")
	well(t, m)

	m.Shell("echo '# mine' >>" + ini)
	lossless(t, m, "rpm --upgrade", func() {
		m.Run("rpm", "--upgrade", "--force", "--nodeps", there)
		pid = running(m, pid)
	})
	well(t, m)
	if got := m.Run("tail", "-n1", ini); got != "# mine" {
		t.Errorf("the configuration after the upgrade: %s", got)
	}

	lossless(t, m, "rpm --erase", func() { m.Run("rpm", "--erase", name) })
	if _, err := m.Try("test", "-e", "/proc/"+pid); err == nil {
		t.Error("the daemon runs after the removal")
	}
	after := slices.DeleteFunc(files(m), func(file string) bool {
		return strings.HasPrefix(file, "/root/.rpmdb") || file == ini+".rpmsave" || file == "/var/log/neutron/"+name+".log" // what an rpm leaves
	})
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("after the removal (-before +after):\n%s", diff)
	}
}

// Both packages hold the same files, but for what each format has its own way with.
func TestSameFiles(t *testing.T) {
	t.Parallel()
	rpm := strings.Fields(run(t, "rpm", "--query", "--package", "--list", built(t, ".rpm")))
	var deb []string
	for line := range strings.Lines(run(t, "dpkg-deb", "--contents", built(t, ".deb"))) {
		deb = append(deb, strings.TrimPrefix(strings.Fields(line)[5], "."))
	}
	kept := func(files []string) []string {
		var all []string
		for _, f := range files {
			f = strings.Replace(f, "/zsh/site-functions/", "/zsh/vendor-completions/", 1)
			switch base := path.Base(f); {
			case strings.HasSuffix(f, "/"), slices.ContainsFunc(files, func(o string) bool { return strings.HasPrefix(o, f+"/") }): // a directory
			case strings.HasPrefix(f, "/usr/share/lintian/"), base == "changelog.Debian.gz", base == "copyright": // Debian's
			case f == "/etc/logrotate.d/ndp-proxy-agent", base == "logrotate.example": // configs/packaging/build says why
			case f == "/usr/share/doc/"+name+"/LICENSE": // Debian has it elsewhere
			default:
				all = append(all, f)
			}
		}
		slices.Sort(all)
		return all
	}
	if diff := cmp.Diff(kept(deb), kept(rpm)); diff != "" {
		t.Errorf("-deb +rpm:\n%s", diff)
	}
	for _, want := range []string{"/usr/bin/" + name, "/usr/bin/ndsend", "/usr/lib/systemd/system/" + unit, ini,
		"/usr/share/man/man8/" + name + ".8.gz", "/usr/share/man/man8/ndsend.8.gz",
		"/usr/share/man/man5/ndp_proxy_agent.ini.5.gz", "/usr/share/bash-completion/completions/" + name,
		"/usr/share/zsh/vendor-completions/_" + name, "/usr/share/fish/vendor_completions.d/" + name + ".fish"} {
		if !slices.Contains(kept(deb), want) {
			t.Errorf("%s is not in the packages", want)
		}
	}
	if out := run(t, "rpm", "--checksig", built(t, ".rpm")); !strings.Contains(out, "digests OK") {
		t.Errorf("rpm --checksig: %s", out)
	}
}
