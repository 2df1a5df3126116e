package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"neutron-ndp-proxy-agent/test/pki"
)

// Files with a password or a key in them are to be read by few; a directory
// that others may not enter is as good.
func TestExposedSecrets(t *testing.T) {
	const url = "[DEFAULT]\ntransport_url = rabbit://u:p@broker/\n"
	const warning = "conf/neutron.conf:2: conf/neutron.conf is readable by everybody (mode 0644), and a password of the broker is in it: chmod o-r"
	pair := pki.SelfSigned(t, pki.Client())
	for _, tc := range []struct {
		name      string
		text      string
		mode, dir os.FileMode
		want      string
	}{
		{"closed", url, 0o640, 0o755, ""},
		{"open", url, 0o644, 0o755, warning},
		{"behind a closed directory", url, 0o644, 0o750, ""},
		{"nothing in it", "[ndp_proxy]\nsource = file\nsource_file = /x\n", 0o644, 0o755, ""},
		{"everybody's password", "[DEFAULT]\ntransport_url = rabbit://broker/\n", 0o644, 0o755, ""},
		{"open key", url + "[oslo_messaging_rabbit]\nssl = 1\nssl_cert_file = conf/cert\nssl_key_file = conf/key\n", 0o644, 0o755,
			warning + "\nconf/neutron.conf:6: conf/key is readable by everybody (mode 0644), and the key of the client certificate is in it: chmod o-r"},
		{"open key in the certificate's file", url + "[oslo_messaging_rabbit]\nssl = 1\nssl_cert_file = conf/both\n", 0o644, 0o755,
			warning + "\nconf/neutron.conf:5: conf/both is readable by everybody (mode 0644), and the key of the client certificate is in it: chmod o-r"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			top := t.TempDir()
			dir := filepath.Join(top, "conf")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			// The directories that the testing package made are its own business.
			for d := top; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
				if err := os.Chmod(d, 0o755); err != nil { //nolint:gosec // that is what is tested
					t.Fatal(err)
				}
			}
			for file, content := range map[string]string{
				"neutron.conf": strings.ReplaceAll(tc.text, "= conf/", "= "+dir+"/"), "key": string(read(t, pair.KeyFile)),
				"cert": string(read(t, pair.CertFile)), "both": string(pair.PEM),
			} {
				if err := os.Chmod(write(t, dir, file, content), tc.mode); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(dir, tc.dir); err != nil {
				t.Fatal(err)
			}
			_, warnings, failure := load(t, top, Args{Sources: []Source{File(filepath.Join(dir, "neutron.conf"))}})
			if diff := cmp.Diff(tc.want, strings.Join(warnings, "\n")); diff != "" || failure != "" {
				t.Errorf("-want +got\n%s%s", diff, failure)
			}
		})
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
