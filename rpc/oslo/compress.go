package oslo

import (
	"bytes"
	"compress/bzip2"
	"compress/zlib"
	"fmt"
	"io"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

// Body returns the body of a delivery, decompressed if the cloud uses
// kombu_compression. kombu's "application/x-gzip" is in truth zlib (RFC 1950).
// A body larger than limit bytes, before or after, is an error.
func Body(d amqp.Delivery, limit int) ([]byte, error) {
	if size := max(d.TooLarge, uint64(len(d.Body))); d.TooLarge > 0 || len(d.Body) > limit {
		return nil, fmt.Errorf("message of %d bytes (limit %d)", size, limit)
	}
	var r io.Reader
	switch d.Compression {
	case "":
		return d.Body, nil
	case "application/x-gzip":
		z, err := zlib.NewReader(bytes.NewReader(d.Body))
		if err != nil {
			return nil, fmt.Errorf("compressed message: %w", err)
		}
		r = z
	case "application/x-bz2":
		r = bzip2.NewReader(bytes.NewReader(d.Body))
	default:
		return nil, fmt.Errorf("compression %q is not supported", amqp.Clean(d.Compression))
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("compressed message: %w", err)
	}
	if len(b) > limit {
		return nil, fmt.Errorf("compressed message unpacks to more than %d bytes", limit)
	}
	return b, nil
}
