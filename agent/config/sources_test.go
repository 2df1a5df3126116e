package config

import (
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPrecedence shows who wins: each file sets host to its own name.
func TestPrecedence(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"def.conf", "a", "b", "d/1.conf", "d/2.conf", "d/.hidden.conf", "d/zz.ini", "defd/x.conf"} {
		write(t, dir, f, minimal+"host = "+strings.ReplaceAll(f, "/", "-")+"\n")
	}
	p := func(s string) string { return dir + "/" + s }
	defaults := []Source{File(p("missing")), Dir(p("missingd")), Dir(p("defd")), File(p("def.conf"))}
	for _, tc := range []struct {
		name, args, files, host string
	}{
		{"defaults: files, then directories", "", "def.conf defd/x.conf", "defd-x.conf"},
		{"a file replaces the default files, not the directories", "--config-file a", "defd/x.conf a", "a"},
		{"a directory replaces the default directories, not the files", "--config-dir d", "def.conf d/1.conf d/2.conf", "d-2.conf"},
		{"the later file wins", "--config-file b --config-file a", "defd/x.conf b a", "a"},
		{"file after directory", "--config-dir d --config-file a", "d/1.conf d/2.conf a", "a"},
		{"directory after file", "--config-file a --config-dir d", "a d/1.conf d/2.conf", "d-2.conf"},
		{"in between", "--config-file a --config-dir d --config-file b", "a d/1.conf d/2.conf b", "b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := Args{Defaults: defaults}
			fs := flag.NewFlagSet("x", flag.ContinueOnError)
			fs.SetOutput(io.Discard)
			a.AddFlags(fs)
			if err := fs.Parse(strings.Fields(tc.args)); err != nil {
				t.Fatal(err)
			}
			for i := range a.Sources {
				a.Sources[i].Path = p(a.Sources[i].Path)
			}
			c, _, failure := load(t, dir, a)
			if failure != "" {
				t.Fatal(failure)
			}
			if got := strings.ReplaceAll(strings.Join(c.Files, " "), dir+"/", ""); got != tc.files {
				t.Errorf("files %s, want %s", got, tc.files)
			}
			if c.Host != tc.host {
				t.Errorf("host %s, want %s", c.Host, tc.host)
			}
		})
	}
}

func TestDefaultFileUnreadable(t *testing.T) {
	if os.Getuid() == 0 {
		// Root reads everything; a directory in the file's place is as good.
		dir := t.TempDir()
		_, _, failure := load(t, dir, Args{Defaults: []Source{File(dir)}})
		if failure != "cannot read config file "+dir+": is a directory" {
			t.Errorf("error = %q", failure)
		}
		return
	}
	dir := t.TempDir()
	f := write(t, dir, "secret.conf", minimal)
	if err := os.Chmod(f, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, failure := load(t, dir, Args{Defaults: []Source{File(f)}}); failure != "cannot read config file secret.conf: permission denied" {
		t.Errorf("error = %q", failure)
	}
}

// TestValues shows where a value is found and what becomes of it; state_path
// stands for any string.
func TestValues(t *testing.T) {
	for _, tc := range []struct{ name, first, second, want string }{
		{"later file", "[DEFAULT]\nstate_path = 1\n", "[DEFAULT]\nstate_path = 2\n", "2"},
		{"last line", "[DEFAULT]\nstate_path = 1\nstate_path = 2\n[x]\n[DEFAULT]\nstate_path = 3\n", "", "3"},
		{"DEFAULT has a case", "[DEFAULT]\nstate_path = 1\n", "[default]\nstate_path = 2\n", "1"},
		{"keys have a case", "[DEFAULT]\nstate_path = 1\n", "[DEFAULT]\nState_Path = 2\nstate-path = 3\n", "1"},
		{"reference", "[DEFAULT]\nstate_path = /$host/${agent_mode}x\n", "", "/node1/legacyx"},
		{"reference to another file", "[DEFAULT]\nstate_path = /$host\n", "[DEFAULT]\nhost = h2\n", "/h2"},
		{"reference in a reference", "[DEFAULT]\nstate_path = /$foo\nfoo = $bar-\nbar = $$host\n", "", "/$host-"},
		{"reference to a group", "[DEFAULT]\nstate_path = ${ndp_proxy.workers}/${NDP_PROXY.table}/$Foo.bar\n[FOO]\nbar = 1\n", "", "4/neutron_ndp_proxy/1"},
		{"no reference", "[DEFAULT]\nstate_path = a$ $1 ${ $- ${host $\n", "", "a$ $1 ${ $- ${host $"},
		{"escapes", `[DEFAULT]` + "\n" + `state_path = a\$host $$host $$$host` + "\n", "", "a$host $host $node1"},
		{"empty option", "[DEFAULT]\nstate_path = <$log_file>\n", "", "<>"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			c, _, failure := load(t, dir, Args{Sources: []Source{
				File(write(t, dir, "0", minimal)), File(write(t, dir, "1", tc.first)), File(write(t, dir, "2", tc.second)),
			}})
			if failure != "" {
				t.Fatal(failure)
			}
			if c.StatePath != tc.want {
				t.Errorf("state_path %q, want %q", c.StatePath, tc.want)
			}
		})
	}
}

func TestReferenceLooksInItsOwnGroupFirst(t *testing.T) {
	c, _, failure := loadText(t, "[oslo_messaging_rabbit]\nssl_ca_file = $hostname $host $x\nx = own\nhostname = h\n[DEFAULT]\nhostname = wrong\nhost = def\nx = wrong\n")
	if failure != "" {
		t.Fatal(failure)
	}
	if want := "h def own"; c.Rabbit.SSLCAFile != want {
		t.Errorf("ssl_ca_file %q, want %q", c.Rabbit.SSLCAFile, want)
	}
}

// TestDeprecatedNames: in one file the current name wins, but a later file wins
// over both.
func TestDeprecatedNames(t *testing.T) {
	dir := t.TempDir()
	a := File(write(t, dir, "a", minimal+"log_dir = new\nlogdir = old\nrabbit_retry_backoff = 7\n"))
	b := File(write(t, dir, "b", "[DEFAULT]\nlogdir = later\n"))
	c, _, failure := load(t, dir, Args{Sources: []Source{a}})
	if failure != "" || c.Log.Dir != "new" || c.Rabbit.RetryBackoff.Seconds() != 7 {
		t.Errorf("%s %+v", failure, c)
	}
	if c, _, failure = load(t, dir, Args{Sources: []Source{a, b}}); failure != "" || c.Log.Dir != "later" {
		t.Errorf("%s %+v", failure, c)
	}
}

func TestEnvironment(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{"OS_DEFAULT__HOST": "$agent_mode-env", "OS_OSLO_MESSAGING_RABBIT__SSL": "perhaps"}
	_, _, failure := load(t, dir, Args{
		Sources:   []Source{File(write(t, dir, "a", minimal+"host = file\n"))},
		LookupEnv: func(k string) (string, bool) { v, ok := env[k]; return v, ok },
	})
	if want := "environment variable OS_OSLO_MESSAGING_RABBIT__SSL: [oslo_messaging_rabbit] ssl: \"perhaps\" is not a boolean: true, false, yes, no, on, off, 1 or 0"; failure != want {
		t.Errorf("error %q, want %q", failure, want)
	}
	env["OS_OSLO_MESSAGING_RABBIT__SSL"] = "NO"
	c, _, failure := load(t, dir, Args{
		Sources:   []Source{File(dir + "/a")},
		LookupEnv: func(k string) (string, bool) { v, ok := env[k]; return v, ok },
	})
	if failure != "" || c.Host != "legacy-env" {
		t.Errorf("%s %+v", failure, c)
	}
}

func TestNumbersAndLists(t *testing.T) {
	for in, want := range map[string]float64{"1": 1, " 1_000 ": 1000, "+7": 7, "007": 7, "-1": -1} {
		if got, err := parseInt(in); err != nil || got != want {
			t.Errorf("parseInt(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "0x10", "1__0", "_1", "1.0", "1e3", "٣", "- 1"} {
		if got, err := parseInt(in); err == nil {
			t.Errorf("parseInt(%q) = %v, want an error", in, got)
		}
	}
	for in, want := range map[string]float64{"1": 1, ".5": .5, "5.": 5, "1_0.2_5e+1": 102.5} {
		if got, err := parseFloat(in); err != nil || got != want {
			t.Errorf("parseFloat(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", ".", "inf", "nan", "0x1p3", "e1", "1._5"} {
		if got, err := parseFloat(in); err == nil {
			t.Errorf("parseFloat(%q) = %v, want an error", in, got)
		}
	}
	for in, want := range map[string][]string{
		"": nil, ",,": nil, "a": {"a"}, " a , b ,": {"a", "b"}, "a,,b": {"a", "", "b"}, "\na,\nb": {"a", "b"},
	} {
		if diff := cmp.Diff(want, parseList(in)); diff != "" {
			t.Errorf("parseList(%q): -want +got\n%s", in, diff)
		}
	}
}
