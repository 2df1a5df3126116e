package amqp

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
)

// FuzzFrames: whatever a broker sends, what is handed on is a stream of frames
// within the limit, with no message above its own, and no longer than what came.
func FuzzFrames(f *testing.F) {
	var b bytes.Buffer
	for i, size := range []uint64{3, 9, 1 << 40} {
		_ = deliver(&b, 1, "c", uint64(i)) //nolint:gosec // small
		_ = sendHeader(&b, 1, size)
		_ = sendFrame(&b, bodyFrame, 1, 3, []byte("abc"))
	}
	f.Add(b.Bytes())
	f.Add([]byte("AMQP\x00\x00\x09\x01"))
	f.Add([]byte{1, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{8, 0, 0, 0, 0, 0, 0, 0xCE})
	const most = 8
	f.Fuzz(func(t *testing.T, stream []byte) {
		g := newFrameGuard(bytes.NewReader(stream))
		g.limit("c", most)
		out, err := io.ReadAll(g)
		if len(out) > len(stream) {
			t.Fatalf("%d bytes became %d", len(stream), len(out))
		}
		if err == nil && len(stream) > 0 && len(out) == 0 && stream[0] != frameBody {
			t.Fatal("vanished")
		}
		collected := map[uint16]uint64{}
		limit := map[uint16]uint64{}
		for len(out) >= frameHeaderLen {
			kind, channel, size := out[0], binary.BigEndian.Uint16(out[1:]), binary.BigEndian.Uint32(out[3:])
			if kind != frameMethod && kind != frameContent && kind != frameBody && kind != frameHeartbeat {
				return // the library ends it here
			}
			if size > maxFrame || len(out) < frameHeaderLen+int(size)+1 {
				t.Fatalf("frame of %d bytes with %d left", size, len(out))
			}
			payload := out[frameHeaderLen:][:size]
			switch {
			case kind == frameMethod:
				delete(collected, channel)
				limit[channel] = DefaultMaxMessage
				if len(payload) >= 14 && binary.BigEndian.Uint32(payload) == methodDeliver && payload[4] == 1 && payload[5] == 'c' {
					limit[channel] = most
				}
			case kind == frameContent && len(payload) >= contentSizeEnd && limit[channel] > 0:
				if collected[channel] = binary.BigEndian.Uint64(payload[contentSizeAt:]); collected[channel] > limit[channel] {
					t.Fatalf("a message of %d bytes, limit %d", collected[channel], limit[channel])
				}
			}
			out = out[frameHeaderLen+int(size)+1:]
		}
		for tag := range uint64(4) {
			if size := g.tooLarge("c", tag); size > 0 && size <= most {
				t.Fatalf("%d bytes are not too large", size)
			}
		}
		if n := len(g.dropped); n > len(stream)/frameHeaderLen {
			t.Fatalf("%d noted of %d bytes", n, len(stream))
		}
	})
}

// While a body is dropped, which may take longer than a heartbeat, the library sees
// that the broker is alive.
func TestWhatIsDroppedIsASignOfLife(t *testing.T) {
	var b, want bytes.Buffer
	for range 3 {
		if err := sendFrame(&b, bodyFrame, 1, 3, []byte("abc")); err != nil {
			t.Fatal(err)
		}
		want.Write([]byte{8, 0, 0, 0, 0, 0, 0, 0xCE})
	}
	g := newFrameGuard(&b)
	g.contents[1] = &content{drop: true}
	out, err := io.ReadAll(g)
	if err != nil || !bytes.Equal(out, want.Bytes()) {
		t.Errorf("%x, %v; want %x", out, err, want.Bytes())
	}
}
