package oslo

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"time"
)

// outgoing is a request as it is put on the wire. Every field is present, null
// where it has no value, as in the captures of an agent's own calls; calls
// alone have the three reply fields, which outgoingCall adds.
type outgoing struct {
	Method   string          `json:"method"`
	Args     json.RawMessage `json:"args"`
	Version  string          `json:"version"`
	UniqueID string          `json:"_unique_id"`
	requestContext
}

type outgoingCall struct {
	outgoing
	MsgID   string `json:"_msg_id"`
	ReplyQ  string `json:"_reply_q"`
	Timeout *int   `json:"_timeout"` // null: no call monitoring
}

// null is a context field that an agent has no value for.
type null struct{}

func (null) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// requestContext is the context of an agent's own calls: an administrator
// without user, project or token.
type requestContext struct {
	User            null     `json:"_context_user"`
	UserID          null     `json:"_context_user_id"`
	UserName        null     `json:"_context_user_name"`
	UserDomain      null     `json:"_context_user_domain"`
	UserIdentity    string   `json:"_context_user_identity"`
	Project         null     `json:"_context_project"`
	ProjectID       null     `json:"_context_project_id"`
	ProjectName     null     `json:"_context_project_name"`
	ProjectDomain   null     `json:"_context_project_domain"`
	TenantID        null     `json:"_context_tenant_id"`
	TenantName      null     `json:"_context_tenant_name"`
	Domain          null     `json:"_context_domain"`
	SystemScope     null     `json:"_context_system_scope"`
	IsAdmin         bool     `json:"_context_is_admin"`
	IsAdminProject  bool     `json:"_context_is_admin_project"`
	Roles           []string `json:"_context_roles"`
	ReadOnly        bool     `json:"_context_read_only"`
	ShowDeleted     bool     `json:"_context_show_deleted"`
	AuthToken       null     `json:"_context_auth_token"`
	RequestID       string   `json:"_context_request_id"`
	GlobalRequestID null     `json:"_context_global_request_id"`
	ResourceUUID    null     `json:"_context_resource_uuid"`
	Timestamp       string   `json:"_context_timestamp"`
}

func newContext(now time.Time) requestContext {
	return requestContext{
		UserIdentity: "- - - - -", IsAdmin: true, IsAdminProject: true, Roles: []string{},
		RequestID: "req-" + uuid(), Timestamp: now.UTC().Format("2006-01-02 15:04:05.000000"),
	}
}

// newID is an id as oslo.messaging makes them: 32 hexadecimal digits.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return hex.EncodeToString(b[:])
}

func uuid() string {
	id := newID()
	return id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
}
