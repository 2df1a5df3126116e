package oslo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"neutron-ndp-proxy-agent/rpc/amqp"
)

// MaxMessage bounds a message, compressed or not. The largest real ones are
// replies to sync_routers: some 10 kB per router.
const MaxMessage = 64 << 20

const envelopeVersion = "2.0"

// envelope is the body of an AMQP message. Message is a string, not an object.
type envelope struct {
	Version *string `json:"oslo.version"`
	Message *string `json:"oslo.message"`
}

// Request is a call or a cast, as far as a receiver of notifications needs it.
type Request struct {
	Method    string          `json:"method"`
	Args      json.RawMessage `json:"args"`
	Version   string          `json:"version"`
	Namespace string          `json:"namespace"`
	UniqueID  string          `json:"_unique_id"`
	// MsgID and ReplyQ are set on calls.
	MsgID     string `json:"_msg_id"`
	ReplyQ    string `json:"_reply_q"`
	RequestID string `json:"_context_request_id"`
}

// Reply is one answer to a call.
type Reply struct {
	MsgID    string          `json:"_msg_id"`
	UniqueID string          `json:"_unique_id"`
	Result   json.RawMessage `json:"result"`
	// Failure is null or a string that holds the JSON of the exception.
	Failure *string `json:"failure"`
	// Ending marks the last reply to a call.
	Ending bool `json:"ending"`
}

// Err returns the failure as a *RemoteError, nil if the call succeeded.
func (r *Reply) Err() error {
	if r.Failure == nil {
		return nil
	}
	var f struct {
		Class   string `json:"class"`
		Module  string `json:"module"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal([]byte(*r.Failure), &f); err != nil {
		return remoteError("", "", "failure that is not JSON: "+*r.Failure)
	}
	return remoteError(f.Class, f.Module, f.Message)
}

// open takes the message out of its envelope.
func open(body []byte, into any) error {
	if len(body) > MaxMessage {
		return fmt.Errorf("message of %d bytes (limit %d)", len(body), MaxMessage)
	}
	// encoding/json would replace such bytes silently, also in names and ids.
	if !utf8.Valid(body) {
		return errors.New("message is not UTF-8")
	}
	var e envelope
	if err := unmarshal(body, &e); err != nil {
		return fmt.Errorf("envelope: %w", err)
	}
	switch {
	case e.Version == nil || e.Message == nil:
		return errors.New("envelope: not an oslo.messaging 2.0 envelope (oslo.version or oslo.message missing)")
	case *e.Version != "2" && !strings.HasPrefix(*e.Version, "2."):
		return fmt.Errorf("envelope: oslo.version %q (want %s)", amqp.Clean(*e.Version), envelopeVersion)
	}
	if err := unmarshal([]byte(*e.Message), into); err != nil {
		return fmt.Errorf("message: %w", err)
	}
	return nil
}

// unmarshal insists on a JSON object: null and the like would leave the target
// as it is. The library's errors quote at most one character of the input.
func unmarshal(data []byte, into any) error {
	if t := bytes.TrimLeft(data, " \t\r\n"); len(t) == 0 || t[0] != '{' {
		return errors.New("not a JSON object")
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s", amqp.Clean(err.Error()))
	}
	return nil
}

// DecodeRequest decodes a call or cast.
func DecodeRequest(body []byte) (*Request, error) {
	var r Request
	if err := open(body, &r); err != nil {
		return nil, err
	}
	if r.Method == "" {
		return nil, errors.New("message: no method")
	}
	if r.Namespace != "" {
		return nil, fmt.Errorf("message: method %q in namespace %q (want none)", amqp.Clean(r.Method), amqp.Clean(r.Namespace))
	}
	return &r, nil
}

// DecodeReply decodes a reply.
func DecodeReply(body []byte) (*Reply, error) {
	var r Reply
	if err := open(body, &r); err != nil {
		return nil, err
	}
	if r.MsgID == "" {
		return nil, errors.New("message: reply without _msg_id")
	}
	return &r, nil
}

// seal puts a message into its envelope.
func seal(message any) ([]byte, error) {
	inner, err := encode(message)
	if err != nil {
		return nil, err
	}
	version, text := envelopeVersion, string(inner)
	return encode(envelope{Version: &version, Message: &text})
}

// encode is json.Marshal without the escapes meant for HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
