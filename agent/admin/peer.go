package admin

import (
	"fmt"
	"net"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// peer is the process at the other end of a connection, as it was when it connected
// (SO_PEERCRED, see unix(7)). It is a net.Addr, so that whoever has the connection or
// the request (http.Request.RemoteAddr) can tell.
type peer struct {
	cred *unix.Ucred
	err  error
}

func peerOf(c *net.UnixConn) peer {
	var p peer
	raw, err := c.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { p.cred, p.err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	}
	if err != nil {
		p.err = err
	}
	return p
}

// Network implements net.Addr.
func (peer) Network() string { return "unix" }

// String implements net.Addr.
func (p peer) String() string {
	if p.err != nil {
		return "unknown: " + p.err.Error()
	}
	return fmt.Sprintf("pid %d, uid %d, gid %d", p.cred.Pid, p.cred.Uid, p.cred.Gid)
}

// peers is a listener whose connections know who is at their other end.
type peers struct {
	*listener
	log *zap.Logger
}

// Accept implements net.Listener.
func (l peers) Accept() (net.Conn, error) {
	c, err := l.AcceptUnix()
	if err != nil {
		return nil, err
	}
	who := peerOf(c)
	l.log.Debug("control socket: connected", zap.String("client", who.String()))
	return peered{c, who}, nil
}

type peered struct {
	*net.UnixConn
	who peer
}

// RemoteAddr implements net.Conn.
func (c peered) RemoteAddr() net.Addr { return c.who }
