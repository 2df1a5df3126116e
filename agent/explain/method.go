package explain

import (
	"context"
	"net/http"
	"net/url"

	"neutron-ndp-proxy-agent/agent/admin"
)

// Path is where the control socket is asked, with the address as a parameter.
const (
	Path         = "/v1/explain"
	ParamAddress = "address"
)

// Method answers at the control socket, with an [Answer].
func (x *Explainer) Method() admin.Method {
	return admin.Method{
		Pattern: "GET " + Path, Limit: Limit,
		Answer: func(ctx context.Context, query url.Values) (any, error) {
			addr, err := ParseAddress(query.Get(ParamAddress))
			if err != nil {
				return nil, admin.Refuse(http.StatusBadRequest, "%v", err)
			}
			return x.Explain(ctx, addr)
		},
	}
}
