package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// API speaks to Neutron's REST API. The lab has no keystone: every request is an administrator's.
type API struct {
	base   string
	client *http.Client
}

// NewAPI returns a client of the API at base.
func NewAPI(base string) *API {
	return &API{base: base, client: &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{Proxy: nil}, // the lab's loopback is nobody else's
	}}
}

// APIError is an answer of Neutron that is not a success.
type APIError struct {
	Method, Path string
	Status       int
	Message      string
}

func (e *APIError) Error() string {
	return fmt.Sprintf("neutron: %s %s: %d: %s", e.Method, e.Path, e.Status, e.Message)
}

// IsNotFound tells whether err is Neutron's 404.
func IsNotFound(err error) bool {
	var e *APIError
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}

// do sends in as JSON (nil: no body) and decodes the answer into out (nil: ignored).
func (a *API) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		doc, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("neutron: %s %s: %w", method, path, err)
		}
		body = bytes.NewReader(doc)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+"/v2.0/"+path, body)
	if err != nil {
		return fmt.Errorf("neutron: %s %s: %w", method, path, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.client.Do(req)
	if err != nil {
		return fmt.Errorf("neutron: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("neutron: %s %s: %w", method, path, err)
	}
	if resp.StatusCode >= 300 {
		return &APIError{Method: method, Path: path, Status: resp.StatusCode, Message: string(text)}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("neutron: %s %s: %w", method, path, err)
	}
	return nil
}

// Fields is the JSON object of a resource to create or update.
type Fields map[string]any

// kind is a resource type of the API: what it is called in documents and in paths.
type kind struct{ one, many string }

// The resource types that the tests use.
var (
	addressScope = kind{"address_scope", "address-scopes"}
	subnetPool   = kind{"subnetpool", "subnetpools"}
	network      = kind{"network", "networks"}
	subnet       = kind{"subnet", "subnets"}
	router       = kind{"router", "routers"}
	port         = kind{"port", "ports"}
	ndpProxy     = kind{"ndp_proxy", "ndp_proxies"}
	agent        = kind{"agent", "agents"}
)

// listKey is the key of the list document: address_scopes under address-scopes, else the path.
func (k kind) listKey() string {
	if k == addressScope {
		return "address_scopes"
	}
	return k.many
}

func create[T any](ctx context.Context, a *API, k kind, f Fields) (T, error) {
	var doc map[string]T
	err := a.do(ctx, http.MethodPost, k.many, map[string]Fields{k.one: f}, &doc)
	return doc[k.one], err
}

func show[T any](ctx context.Context, a *API, k kind, id string) (T, error) {
	var doc map[string]T
	err := a.do(ctx, http.MethodGet, k.many+"/"+id, nil, &doc)
	return doc[k.one], err
}

func list[T any](ctx context.Context, a *API, k kind, query url.Values) ([]T, error) {
	var doc map[string][]T
	err := a.do(ctx, http.MethodGet, k.many+"?"+query.Encode(), nil, &doc)
	return doc[k.listKey()], err
}

func (a *API) update(ctx context.Context, k kind, id string, f Fields) error {
	return a.do(ctx, http.MethodPut, k.many+"/"+id, map[string]Fields{k.one: f}, nil)
}

// remove deletes; what is gone already is success.
func (a *API) remove(ctx context.Context, k kind, id string) error {
	err := a.do(ctx, http.MethodDelete, k.many+"/"+id, nil, nil)
	if IsNotFound(err) {
		return nil
	}
	return err
}

// Named is any resource: enough to find it.
type Named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// FixedIP is an address of a port.
type FixedIP struct {
	SubnetID string     `json:"subnet_id"`
	Addr     netip.Addr `json:"ip_address"`
}

// Port is a Neutron port.
type Port struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	NetworkID string    `json:"network_id"`
	MAC       string    `json:"mac_address"`
	Status    string    `json:"status"`
	Owner     string    `json:"device_owner"`
	Host      string    `json:"binding:host_id"`
	FixedIPs  []FixedIP `json:"fixed_ips"`
}

// Router is a Neutron router.
type Router struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	AdminUp bool   `json:"admin_state_up"`
	NDP     bool   `json:"enable_ndp_proxy"`
	Gateway *struct {
		NetworkID string    `json:"network_id"`
		FixedIPs  []FixedIP `json:"external_fixed_ips"`
	} `json:"external_gateway_info"`
}

// NDPProxy is a published address.
type NDPProxy struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	RouterID string     `json:"router_id"`
	PortID   string     `json:"port_id"`
	Addr     netip.Addr `json:"ip_address"`
}

// Agent is a row of `openstack network agent list`.
type Agent struct {
	ID             string         `json:"id"`
	Type           string         `json:"agent_type"`
	Binary         string         `json:"binary"`
	Host           string         `json:"host"`
	Alive          bool           `json:"alive"`
	Configurations map[string]any `json:"configurations"`
}

// Agents lists the agents that have reported themselves.
func (a *API) Agents(ctx context.Context) ([]Agent, error) {
	return list[Agent](ctx, a, agent, nil)
}

// RemoveAgent forgets an agent's row.
func (a *API) RemoveAgent(ctx context.Context, id string) error { return a.remove(ctx, agent, id) }
