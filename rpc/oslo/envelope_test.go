package oslo

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Every captured message decodes to what the capture says it holds.
func TestDecodeCaptures(t *testing.T) {
	requests, replies := 0, 0
	for _, file := range captures(t) {
		c := readCapture(t, file)
		if c.Message["method"] == nil {
			replies++
			r, err := DecodeReply([]byte(c.Body))
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			// The large reply is captured without its decoded form.
			if c.Message != nil && (r.MsgID != c.Message["_msg_id"] || r.UniqueID != c.Message["_unique_id"]) || !r.Ending {
				t.Errorf("%s: decoded as _msg_id %q, _unique_id %q, ending %v", file, r.MsgID, r.UniqueID, r.Ending)
			}
			if (c.Message["failure"] != nil) != (r.Err() != nil) {
				t.Errorf("%s: failure %v", file, r.Err())
			}
			continue
		}
		requests++
		r, err := DecodeRequest([]byte(c.Body))
		if c.Message["namespace"] != nil {
			if err == nil {
				t.Errorf("%s: namespace accepted", file)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		var args any
		if err := json.Unmarshal(r.Args, &args); err != nil {
			t.Errorf("%s: args: %v", file, err)
		}
		got := map[string]any{"method": r.Method, "version": r.Version, "_unique_id": r.UniqueID, "args": args}
		want := map[string]any{}
		for k := range got {
			want[k] = c.Message[k]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-capture +decoded):\n%s", file, diff)
		}
		if id, _ := c.Message["_context_request_id"].(string); id != r.RequestID {
			t.Errorf("%s: request id %q, want %q", file, r.RequestID, id)
		}
		if id, _ := c.Message["_msg_id"].(string); id != r.MsgID {
			t.Errorf("%s: _msg_id %q, want %q", file, r.MsgID, id)
		}
	}
	if requests < 25 || replies < 20 {
		t.Errorf("only %d requests and %d replies", requests, replies)
	}
}

func TestRemoteErrors(t *testing.T) {
	for file, want := range map[string]RemoteError{
		"30b-error-no-such-method-reply": {"NoSuchMethod", "oslo_messaging.rpc.dispatcher",
			"Endpoint does not support RPC method no_such_method"},
		"32b-error-agent-not-found-reply": {"AgentNotFoundByTypeHost", "neutron_lib.exceptions.agent",
			"Agent with agent_type=L3 agent and host=None could not be found."},
	} {
		r, err := DecodeReply([]byte(readCapture(t, wireDir+"/"+file+".json").Body))
		if err != nil {
			t.Fatal(err)
		}
		var got *RemoteError
		if !errors.As(r.Err(), &got) {
			t.Fatalf("%s: %v is no RemoteError", file, r.Err())
		}
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
		if !IsRemote(r.Err(), want.Class) || IsRemote(r.Err(), "Other") {
			t.Errorf("IsRemote does not know %s", want.Class)
		}
	}
}

// A failure that is itself broken is still a failure.
func TestBrokenFailure(t *testing.T) {
	for _, f := range []string{"", "not json\x1b", `{"class": 3}`, `{}`} {
		r := Reply{Failure: &f}
		err := r.Err()
		if err == nil || strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("failure %q gives %v", f, err)
		}
	}
}

func TestDecodeRejects(t *testing.T) {
	wrap := func(message string) string {
		b, err := json.Marshal(map[string]string{"oslo.version": "2.0", "oslo.message": message})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for body, want := range map[string]string{
		"":                                "not a JSON object",
		"null":                            "not a JSON object",
		"[]":                              "not a JSON object",
		"\x00\x1b[2J":                     "not a JSON object",
		"{\"oslo.version\": \"2.0\xff\"}": "not UTF-8",
		`{"method": "push"}`:              "not an oslo.messaging 2.0 envelope",
		`{"oslo.version": "2.0"}`:         "not an oslo.messaging 2.0 envelope",
		`{"oslo.version":"3.0","oslo.message":"{}"}`: `oslo.version "3.0"`,
		`{"oslo.version":"2.0","oslo.message":{}}`:   "envelope: json",
		wrap(`null`):                                               "not a JSON object",
		wrap(`{"method":""}`):                                      "no method",
		wrap(`{"method":"a","args":`):                              "unexpected end",
		wrap(`{"method":["a"]}`):                                   "cannot unmarshal array",
		wrap(`{"method":"a","namespace":"n"}`):                     `namespace "n"`,
		strings.Repeat("[", 20000):                                 "not a JSON object",
		wrap(`{"method":"a","args":` + strings.Repeat("[", 20000)): "exceeded max depth",
	} {
		_, err := DecodeRequest([]byte(body))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want an error with %q", body, err, want)
			continue
		}
		if strings.ContainsAny(err.Error(), "\x00\x1b\n\ufffd") {
			t.Errorf("control characters in the error %q", err)
		}
	}
	if _, err := DecodeReply([]byte(wrap(`{"result": 1}`))); err == nil || !strings.Contains(err.Error(), "_msg_id") {
		t.Errorf("reply without _msg_id: %v", err)
	}
}

// What we send has the keys, the nulls and the types of an agent's own call.
func TestEncodeCallLikeTheCapture(t *testing.T) {
	c := readCapture(t, wireDir+"/05a-get_router_ids-request.json")
	now := time.Date(2026, 11, 22, 17, 30, 52, 151844000, time.UTC)
	client := &Client{cfg: Config{Now: func() time.Time { return now }}}
	args, err := encode(c.Message["args"])
	if err != nil {
		t.Fatal(err)
	}
	body, err := seal(outgoingCall{outgoing: client.outgoing("get_router_ids", "1.9", args),
		MsgID: newID(), ReplyQ: "reply_" + newID()})
	if err != nil {
		t.Fatal(err)
	}
	var env, got map[string]any
	if err := json.Unmarshal(body, &env); err != nil {
		t.Fatal(err)
	}
	if len(env) != 2 || env["oslo.version"] != "2.0" {
		t.Errorf("envelope %v", env)
	}
	if err := json.Unmarshal([]byte(env["oslo.message"].(string)), &got); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"_msg_id", "_unique_id", "_reply_q", "_context_request_id"} {
		have, _ := got[id].(string)
		want, _ := c.Message[id].(string)
		if len(have) != len(want) || have == want {
			t.Errorf("%s is %q, captured %q", id, have, want)
		}
		got[id] = want
	}
	if diff := cmp.Diff(c.Message, got); diff != "" {
		t.Errorf("(-capture +ours):\n%s", diff)
	}
}

func TestCastHasNoReplyFields(t *testing.T) {
	client := &Client{cfg: Config{Now: time.Now}}
	body, err := seal(client.outgoing("m", "1.0", json.RawMessage(`{"a":"<&>"}`)))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"_msg_id", "_reply_q", "_timeout"} {
		if strings.Contains(string(body), key) {
			t.Errorf("cast carries %s", key)
		}
	}
	r, err := DecodeRequest(body)
	if err != nil || string(r.Args) != `{"a":"<&>"}` {
		t.Errorf("decoded %+v, %v", r, err)
	}
}

func FuzzEnvelope(f *testing.F) {
	for _, file := range captures(f) {
		if c := readCapture(f, file); len(c.Body) < 4000 {
			f.Add([]byte(c.Body))
		}
	}
	f.Add([]byte(`{"oslo.version":"2.0","oslo.message":"null"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := DecodeRequest(body)
		if (r == nil) == (err == nil) {
			t.Fatalf("request %v, error %v", r, err)
		}
		if err == nil && r.Method == "" {
			t.Fatal("request without method accepted")
		}
		p, err := DecodeReply(body)
		if (p == nil) == (err == nil) {
			t.Fatalf("reply %v, error %v", p, err)
		}
		for _, e := range []error{err, func() error {
			if p != nil {
				return p.Err()
			}
			return nil
		}()} {
			if e != nil && strings.ContainsAny(e.Error(), "\x00\x1b\n\r") {
				t.Fatalf("control characters in %q", e)
			}
		}
	})
}
