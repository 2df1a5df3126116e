package amqp

import (
	"context"
	"errors"
	"net"
	"time"
)

// Obstacle is what stands between us and a broker.
type Obstacle string

// The obstacles, in the order in which a connection meets them.
const (
	ObstacleName        Obstacle = "name"         // the broker's name has no address
	ObstacleUnreachable Obstacle = "unreachable"  // no TCP connection
	ObstacleTLS         Obstacle = "tls"          // TLS on one side only, a certificate, a version
	ObstacleSilent      Obstacle = "silent"       // something listens and says nothing
	ObstacleLoginMethod Obstacle = "login method" // the broker does not know it
	ObstacleLogin       Obstacle = "login"        // user or password
	ObstacleVHost       Obstacle = "virtual host" // none of that name, or no permission for it
)

// ObstacleOf returns what a failed connection met, "" if that is none of these.
func ObstacleOf(err error) Obstacle {
	var m *metError
	if errors.As(err, &m) {
		return m.obstacle
	}
	return ""
}

// metError says nothing of its own.
type metError struct {
	obstacle Obstacle
	err      error
}

func met(o Obstacle, err error) error { return &metError{o, err} }

func (e *metError) Error() string { return e.err.Error() }
func (e *metError) Unwrap() error { return e.err }

func dialObstacle(err error) Obstacle {
	if errors.As(err, new(*net.DNSError)) {
		return ObstacleName
	}
	return ObstacleUnreachable
}

// Try connects to one broker of cfg, as far as into the virtual host, and closes the
// connection again. Nothing is declared, consumed or published. It takes no longer
// than cfg.DialTimeout and a second. [ObstacleOf] tells the kinds of its errors apart;
// their texts are the same that a supervised connection logs.
func Try(ctx context.Context, cfg Config, e Endpoint) error {
	if err := (Config{Hosts: []Endpoint{e}, Login: cfg.Login}).validate(); err != nil {
		return err
	}
	conn, nc, err := dial(ctx, cfg.withDefaults(), e)
	if err != nil {
		return steady(err)
	}
	// How it closes is of no interest: it was open.
	_ = conn.CloseDeadline(time.Now().Add(time.Second))
	_ = nc.Close()
	return nil
}
