package oslo

// Seen remembers the last ids it was shown, to recognise repeats. It is used
// by one goroutine. Messages come twice when a connection dies between
// delivery and acknowledgement, or when a sender was not sure of itself.
type Seen struct {
	ring []string
	next int
	set  map[string]struct{}
}

// NewSeen remembers the last n ids.
func NewSeen(n int) *Seen {
	return &Seen{ring: make([]string, n), set: make(map[string]struct{}, n)}
}

// maxSeenID bounds what is remembered of one message. Real ids have 32 characters.
const maxSeenID = 64

// Repeat tells whether id was shown before, and remembers it. The empty id is
// never a repeat, nor is one that is longer than any real one.
func (s *Seen) Repeat(id string) bool {
	if id == "" || len(id) > maxSeenID {
		return false
	}
	if _, ok := s.set[id]; ok {
		return true
	}
	delete(s.set, s.ring[s.next])
	s.ring[s.next] = id
	s.set[id] = struct{}{}
	s.next = (s.next + 1) % len(s.ring)
	return false
}
