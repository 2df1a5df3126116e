package lab

import (
	"context"
	"net/url"
)

// CreateProxy asks for an NDP proxy as a user would, whatever becomes of it.
func (a *API) CreateProxy(ctx context.Context, f Fields) (NDPProxy, error) {
	return create[NDPProxy](ctx, a, ndpProxy, f)
}

// ShowProxy reads one NDP proxy.
func (a *API) ShowProxy(ctx context.Context, id string) (NDPProxy, error) {
	return show[NDPProxy](ctx, a, ndpProxy, id)
}

// FindProxies lists the NDP proxies that match.
func (a *API) FindProxies(ctx context.Context, query url.Values) ([]NDPProxy, error) {
	return list[NDPProxy](ctx, a, ndpProxy, query)
}

// UpdateProxy changes attributes of an NDP proxy.
func (a *API) UpdateProxy(ctx context.Context, id string, f Fields) error {
	return a.update(ctx, ndpProxy, id, f)
}

// RemoveProxy deletes an NDP proxy.
func (a *API) RemoveProxy(ctx context.Context, id string) error { return a.remove(ctx, ndpProxy, id) }
