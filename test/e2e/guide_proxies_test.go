//go:build lab

package e2e

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"neutron-ndp-proxy-agent/test/lab"
)

// proxiesByAPI is what docs/user-workflow.md says of the API beyond the guide's steps: list, show, set,
// what is refused, and delete. Nothing but the last makes a difference to the published address.
func (w *world) proxiesByAPI(proxy lab.NDPProxy) {
	w.Helper()
	refused := func(status int, what string, err error) {
		w.Helper()
		if lab.StatusOf(err) != status {
			w.Errorf("%s: %v, want Neutron's refusal (%d)", what, err, status)
			return
		}
		w.Logf("%s: %v", what, err)
	}
	intruder, err := w.cloud.EnsureInstance(w.ctx, "intruder", netip.Addr{})
	w.must(err)
	for _, i := range []string{"another name", ""} {
		w.must(w.api.UpdateProxy(w.ctx, proxy.ID, lab.Fields{"name": i, "description": i}))
		shown, err := w.api.ShowProxy(w.ctx, proxy.ID)
		w.must(err)
		if shown.Name != i || shown.Addr != w.inst.Addr || shown.PortID != w.inst.Port.ID {
			w.Errorf("after it was named %q: %+v", i, shown)
		}
	}
	for query, want := range map[string]int{"": 0, "name=nobody": 0, "router_id=" + w.cloud.Router: http.StatusBadRequest,
		"port_id=" + w.inst.Port.ID: http.StatusBadRequest, "ip_address=" + w.inst.Addr.String(): http.StatusBadRequest} {
		q, err := url.ParseQuery(query)
		w.must(err)
		all, err := w.api.FindProxies(w.ctx, q)
		if want != 0 {
			refused(want, "a list by "+query, err)
			continue
		}
		w.must(err)
		if found := slices.ContainsFunc(all, func(p lab.NDPProxy) bool { return p.ID == proxy.ID }); found != (query == "") {
			w.Errorf("a list by %q has the proxy: %v", query, found)
		}
	}

	create := func(f lab.Fields) error {
		f["router_id"] = w.cloud.Router
		_, err := w.api.CreateProxy(w.ctx, f)
		return err
	}
	refused(http.StatusBadRequest, "an address that is another port's",
		create(lab.Fields{"port_id": intruder.Port.ID, "ip_address": w.inst.Addr}))
	refused(http.StatusNotFound, "a port that does not exist", create(lab.Fields{"port_id": w.cloud.Router}))
	refused(http.StatusBadRequest, "another address for the proxy",
		w.api.UpdateProxy(w.ctx, proxy.ID, lab.Fields{"ip_address": intruder.Addr}))
	refused(http.StatusConflict, "the gateway is unset", w.cloud.UpdateRouter(w.ctx, lab.Fields{"external_gateway_info": nil}))
	refused(http.StatusConflict, "the subnet is removed", w.cloud.RemoveInterface(w.ctx, w.cloud.IntSub))
	w.must(w.cloud.UpdateRouter(w.ctx, lab.Fields{"enable_ndp_proxy": false}))
	refused(http.StatusConflict, "a proxy on a router that is not enabled", create(lab.Fields{"port_id": intruder.Port.ID}))
	w.must(w.cloud.UpdateRouter(w.ctx, lab.Fields{"enable_ndp_proxy": true}))
	w.reachable(5 * time.Second)

	w.must(w.api.RemoveProxy(w.ctx, proxy.ID))
	w.unreachable(5 * time.Second)
	w.noEntry(w.inst.Addr)
}
