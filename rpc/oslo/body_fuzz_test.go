package oslo

import (
	"bytes"
	"compress/zlib"
	"encoding/hex"
	"strings"
	"testing"
	"unicode"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

// FuzzBody: whatever is compressed how, what comes out is within the limit, or
// there is an error that can be printed.
func FuzzBody(f *testing.F) {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, _ = w.Write(make([]byte, 1<<16)) // to memory
	_ = w.Close()
	bz2, err := hex.DecodeString(bzip2Hello)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(z.Bytes(), "application/x-gzip")
	f.Add(z.Bytes()[:z.Len()/2], "application/x-gzip")
	f.Add(bz2, "application/x-bz2")
	f.Add([]byte(`{"oslo.version":"2.0","oslo.message":"{}"}`), "")
	f.Add([]byte{}, "\x1b[2J")
	f.Fuzz(func(t *testing.T, raw []byte, how string) {
		const limit = 4096
		b, err := Body(amqp.Delivery{Body: raw, Compression: how}, limit)
		if len(b) > limit || err != nil && b != nil {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		if err != nil && strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q", err)
		}
		if how == "" && err == nil && !bytes.Equal(b, raw) {
			t.Fatal("changed on the way")
		}
	})
}
