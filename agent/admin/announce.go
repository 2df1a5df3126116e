package admin

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"

	"neutron-ndp-proxy-agent/agent"
)

// Announcing is what the daemon's loop offers for it; *agent.Agent does.
type Announcing interface {
	Announce(ctx context.Context, router string, addr netip.Addr) ([]agent.Fate, error)
}

// Announced is the answer to POST /v1/announce. Within v1 its JSON only grows.
type Announced struct {
	Announcements []Announcement `json:"announcements"`
}

// AnnouncementState is what became of one address.
type AnnouncementState string

// States of an announcement.
const (
	AnnouncementSent    AnnouncementState = "sent"    // the first copy has left; further ones follow (announce_count)
	AnnouncementOwed    AnnouncementState = "owed"    // it leaves as soon as it can
	AnnouncementRefused AnnouncementState = "refused" // it is not answered for here
)

// Announcement is what became of one address. Address is empty where none of a whole
// namespace could be announced, and Device where none is known.
type Announcement struct {
	Address   string            `json:"address"`
	Namespace string            `json:"namespace"`
	Device    string            `json:"device"`
	State     AnnouncementState `json:"state"`
	// Why is empty if it was sent.
	Why string `json:"why"`
}

// AnnounceMethod answers POST /v1/announce, with the parameters address or router, and
// wait.
func AnnounceMethod(loop Announcing) Method {
	return Method{
		Pattern: "POST /v1/announce", Limit: longestWait + orderSlack,
		Answer: func(ctx context.Context, query url.Values) (any, error) {
			wait, err := waitOf(query)
			if err != nil {
				return nil, err
			}
			router, text := query.Get("router"), query.Get("address")
			if (router == "") == (text == "") {
				return nil, Refuse(http.StatusBadRequest, "either router or address has to be given")
			}
			var addr netip.Addr
			if text != "" {
				if addr, err = netip.ParseAddr(text); err != nil || !addr.Is6() || addr.Zone() != "" || addr.Is4In6() {
					return nil, Refuse(http.StatusBadRequest, "%q is no IPv6 address", text)
				}
			}
			bounded, cancel := context.WithTimeout(ctx, wait)
			defer cancel()
			fates, err := loop.Announce(bounded, router, addr)
			switch {
			case errors.Is(err, agent.ErrNotHere), errors.Is(err, agent.ErrNotPublished):
				return nil, Refuse(http.StatusNotFound, "%v", err)
			case errors.Is(err, agent.ErrNotEnabled), errors.Is(err, agent.ErrSilent):
				return nil, Refuse(http.StatusConflict, "%v", err)
			case err != nil:
				return nil, err
			}
			return announced(fates), ctx.Err()
		},
	}
}

func announced(fates []agent.Fate) Announced {
	out := Announced{Announcements: make([]Announcement, 0, len(fates))}
	for _, f := range fates {
		a := Announcement{Namespace: printable(f.Namespace, maxText), Device: printable(f.Device, maxText), State: AnnouncementRefused, Why: printable(f.Why, maxText)}
		if f.Addr.IsValid() {
			a.Address = f.Addr.String()
		}
		switch {
		case f.Sent:
			a.State = AnnouncementSent
		case f.Owed:
			a.State = AnnouncementOwed
		}
		out.Announcements = append(out.Announcements, a)
	}
	return out
}

// Well reports whether all have left, and there were any.
func (a Announced) Well() bool {
	for _, n := range a.Announcements {
		if n.State != AnnouncementSent {
			return false
		}
	}
	return len(a.Announcements) > 0
}
