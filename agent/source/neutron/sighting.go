package neutron

import (
	"time"

	"neutron-ndp-proxy-agent/agent/inventory"
)

// sighting is what is known of one port.
type sighting struct {
	host string
	gone bool // deleted, or not found
	// revision is the server's; 0: not told.
	revision int
	// at is when it was pushed, or when the call began that told it.
	at     time.Time
	pushed bool
	// place is what the inventory was told last.
	place inventory.Place
}

// answerGrace is how far an answer may be behind the pushes: a database cluster
// may answer from a node that has not seen yet what another node has already
// pushed.
const answerGrace = 2 * time.Second

// replaces tells whether news counts against what is known. The higher revision
// wins whatever came first: two servers push in another order than they wrote,
// and an answer may be older or newer than a push that overtook it. Only an
// answer that was asked for some time after may lower a revision (a database
// that was put back). Where no revisions tell, the later word counts, and a push
// against an answer that was on its way.
func (n sighting) replaces(old sighting) bool {
	after := n.at.Sub(old.at) > answerGrace
	told := n.revision > 0 && old.revision > 0
	switch {
	case old.gone && old.pushed:
		return !n.pushed && after
	case told && n.revision > old.revision:
		return true
	case told && n.revision < old.revision:
		return !n.pushed && after
	case n.pushed:
		return true
	case old.pushed:
		return after
	default:
		return !n.at.Before(old.at)
	}
}
