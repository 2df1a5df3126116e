package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Fixed by test/lab/lib.
const (
	Host         = "lab-host1" // `host` of the agents
	APIURL       = "http://127.0.0.1:9696"
	AMQPURL      = "amqp://neutron:neutron@127.0.0.1:5672/"
	UpstreamNS   = "lab-upstream" // the upstream router
	UpstreamDev  = "dc0"          // its interface on the external network
	BehindNS     = "lab-behind"   // a host that is routed through the upstream router
	insideMarker = "LAB_INSIDE"   // set by test/lab/enter
)

// Lab is one lab directory.
type Lab struct {
	Dir     string
	scripts string
}

// Open names a lab; nothing is started.
func Open(dir string) (*Lab, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		return nil, errors.New("lab: the path of the source is not known")
	}
	return &Lab{Dir: dir, scripts: filepath.Dir(file)}, nil
}

// Inside returns the lab that this process runs in; ok is false outside of one.
func Inside() (l *Lab, ok bool, err error) {
	dir := os.Getenv(insideMarker)
	if dir == "" {
		return nil, false, nil
	}
	l, err = Open(dir)
	return l, true, err
}

// Root is the top of the project.
func (l *Lab) Root() string { return filepath.Dir(filepath.Dir(l.scripts)) }

func (l *Lab) script(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(l.scripts, name), args...)
	cmd.Env = append(os.Environ(), "LAB_DIR="+l.Dir)
	return cmd
}

// Up starts what is not running. If lease is not nil it is the reading end of a pipe: when its
// writing end is closed, also by the death of this process, the kernel takes the whole lab away.
func (l *Lab) Up(ctx context.Context, lease *os.File, progress io.Writer) error {
	cmd := l.script(ctx, "up")
	cmd.Stdout, cmd.Stderr = progress, progress
	if lease != nil {
		cmd.ExtraFiles = []*os.File{lease}
		cmd.Env = append(cmd.Env, "LAB_LEASE_FD=3")
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("bring the lab up: %w", err)
	}
	return nil
}

// Down ends every process of the lab and deletes its directory.
func (l *Lab) Down(ctx context.Context) error {
	out, err := l.script(ctx, "down", "--wipe").CombinedOutput()
	if err != nil {
		return fmt.Errorf("take the lab down: %w: %s", err, out)
	}
	return nil
}

// Service stops, kills or starts one process of the lab ("stop", "kill", "start"), by the names
// that test/lab/service knows. It returns when that is done.
func (l *Lab) Service(ctx context.Context, action, name string) error {
	out, err := l.script(ctx, "service", action, name).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", action, name, err, out)
	}
	return nil
}

// ServiceAlive tells whether a process of the lab runs.
func (l *Lab) ServiceAlive(ctx context.Context, name string) bool {
	return l.script(ctx, "service", "alive", name).Run() == nil
}

// RabbitMQ runs rabbitmqctl on the lab's broker.
func (l *Lab) RabbitMQ(ctx context.Context, args ...string) (string, error) {
	cmd := l.script(ctx, "service", append([]string{"rabbitmqctl"}, args...)...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("rabbitmqctl %s: %w: %s", strings.Join(args, " "), err, complaint.String())
	}
	return string(out), nil
}

// SQL runs a statement in neutron's database.
func (l *Lab) SQL(ctx context.Context, statement string) error {
	out, err := l.script(ctx, "service", "sql", statement).CombinedOutput()
	if err != nil {
		return fmt.Errorf("sql %q: %w: %s", statement, err, out)
	}
	return nil
}

// OpenStack runs the openstack client of Debian against the lab's API.
func (l *Lab) OpenStack(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "openstack", append([]string{"--os-auth-type", "none", "--os-endpoint", APIURL}, args...)...)
	// Debian's own Python, no proxies
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=" + filepath.Join(l.Dir, "home"), "PYTHONDONTWRITEBYTECODE=1"}
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("openstack %s: %w: %s", strings.Join(args, " "), err, complaint.String())
	}
	return string(out), nil
}

// NeutronConf and L3Conf are the operator's own files of this host, which the daemon reads too.
func (l *Lab) NeutronConf() string { return filepath.Join(l.Dir, "etc", Host, "neutron.conf") }

// L3Conf is the L3 agent's configuration file.
func (l *Lab) L3Conf() string { return filepath.Join(l.Dir, "etc", Host, "l3_agent.ini") }

// LogPath is where a process of the lab, or a daemon under test, writes its log.
func (l *Lab) LogPath(name string) string { return filepath.Join(l.Dir, "log", name+".log") }
