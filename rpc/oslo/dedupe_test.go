package oslo

import (
	"bytes"
	"compress/zlib"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

func TestSeen(t *testing.T) {
	s := NewSeen(3)
	for i, step := range []struct {
		id     string
		repeat bool
	}{
		{"a", false}, {"a", true}, {"", false}, {"", false}, {"b", false}, {"c", false}, {"a", true},
		{"d", false}, // pushes a out
		{"a", false}, {"c", true}, {"b", false},
	} {
		if got := s.Repeat(step.id); got != step.repeat {
			t.Errorf("step %d: Repeat(%q) = %v", i, step.id, got)
		}
	}
	for i := range 1000 {
		s.Repeat(strconv.Itoa(i))
	}
	if len(s.set) != 3 {
		t.Errorf("remembers %d ids, want 3", len(s.set))
	}
}

func TestBodyDecompresses(t *testing.T) {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	if _, err := w.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// python3: bz2.compress(b"hello").hex()
	bz2, err := hex.DecodeString(bzip2Hello)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		how  string
		body []byte
		err  string
	}{
		{"", []byte("hello"), ""},
		{"application/x-gzip", z.Bytes(), ""},
		{"application/x-bz2", bz2, ""},
		{"application/x-gzip", []byte("hello"), "compressed message"},
		{"application/x-gzip", z.Bytes()[:8], "compressed message"},
		{"application/x-bz2", []byte("hello"), "compressed message"},
		{"application/zstd", nil, `"application/zstd" is not supported`},
	} {
		got, err := Body(amqp.Delivery{Body: c.body, Compression: c.how}, MaxMessage)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want an error with %s", c.how, err, c.err)
			}
			continue
		}
		if err != nil || string(got) != "hello" {
			t.Errorf("%s: %q, %v", c.how, got, err)
		}
	}
}

// A small message must not unpack to a large one.
func TestBodyBounded(t *testing.T) {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	if _, err := w.Write(make([]byte, 1<<20+1)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	d := amqp.Delivery{Body: z.Bytes(), Compression: "application/x-gzip"}
	if _, err := Body(d, 1<<20+1); err != nil {
		t.Errorf("a message of just the limit: %v", err)
	}
	_, err := Body(d, 1<<20)
	if err == nil || !strings.Contains(err.Error(), "unpacks to more than") {
		t.Errorf("%d bytes that unpack to more than the limit: %v", z.Len(), err)
	}
}

const bzip2Hello = "425a68393141592653591931653d00000081000244a000219a68334d07338bb9229c28480c98b29e80"
