package inventory

import (
	"maps"
	"slices"
)

// View is what is known of one namespace at one moment.
type View struct {
	// Entries are the routers in it, sorted by id.
	Entries []Entry
	// Unread: there may be another router in it, of which nothing is known, so
	// that what no entry accounts for must not be taken for unwanted. One could
	// not be read so far; or the namespace is shared and the source has not
	// told of all routers yet. A router that was read before and can't be now
	// counts with what was known of it.
	Unread bool
	// Synced is [Inventory.Synced].
	Synced bool
	// Because are the messages that told of what no look has answered so far; see
	// [Inventory.Answered].
	Because Causes
}

// View returns what is known of a namespace.
func (i *Inventory) View(name string) View {
	i.mu.Lock()
	defer i.mu.Unlock()
	v := View{Unread: i.unread(name), Synced: i.synced, Because: i.causes[name]}
	for _, id := range slices.Sorted(maps.Keys(i.users[name])) {
		v.Entries = append(v.Entries, i.entry(id))
	}
	return v
}

// Namespace returns the routers of a [View], and whether it is unread.
func (i *Inventory) Namespace(name string) (entries []Entry, unread bool) {
	v := i.View(name)
	return v.Entries, v.Unread
}

// Unread reports whether the [View] of a namespace is.
func (i *Inventory) Unread(name string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.unread(name)
}

func (i *Inventory) unread(name string) bool {
	for id, namespaces := range i.held {
		if _, known := i.routers[id]; !known && names(namespaces, name) {
			return true
		}
	}
	return !i.synced && i.shared(name)
}

// shared reports whether a namespace is one that routers share.
func (i *Inventory) shared(name string) bool {
	for id := range i.users[name] {
		if slices.ContainsFunc(i.routers[id].External, func(a Attachment) bool { return a.Namespace == name && a.Inner != nil }) {
			return true
		}
	}
	return false
}

// Awaited returns what the attachments that routers that publish wait for, by
// router id ([Router.Awaits]).
func (i *Inventory) Awaited() map[string]string {
	i.mu.Lock()
	defer i.mu.Unlock()
	out := map[string]string{}
	for id, r := range i.routers {
		if r.Enabled && r.Awaits != "" {
			out[id] = r.Awaits
		}
	}
	return out
}
