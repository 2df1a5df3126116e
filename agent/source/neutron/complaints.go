package neutron

import (
	"sync"

	"go.uber.org/zap"
)

// complaintLimit bounds what is remembered; beyond it everything may be said
// once more, which is better than growing for ever.
const complaintLimit = 4096

// complaints says each trouble once, and again when it changes.
type complaints struct {
	log *zap.Logger

	mu   sync.Mutex
	said map[string]string
}

func (c *complaints) say(subject string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.said[subject] == err.Error() {
		return
	}
	if len(c.said) >= complaintLimit {
		clear(c.said)
	}
	c.said[subject] = err.Error()
	c.log.Error("Neutron: what is published stays as it is", zap.String("about", subject), zap.Error(err))
}

func (c *complaints) clear(subject string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, was := c.said[subject]; was {
		delete(c.said, subject)
		c.log.Info("Neutron: well again", zap.String("about", subject))
	}
}

// once remembers what was said. Only the asking goroutine uses it.
type once map[string]bool

// note reports whether it is the first time, as far as it can be remembered.
func (o once) note(what string) bool {
	if o[what] {
		return false
	}
	if len(o) >= complaintLimit {
		clear(o)
	}
	o[what] = true
	return true
}
