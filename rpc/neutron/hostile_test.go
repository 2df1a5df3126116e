package neutron

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"neutron-ndp-proxy-agent/rpc/oslo"
)

// nonsense are values that no field is made for.
var nonsense = []string{
	`null`, `true`, `-1`, `0`, `1e400`, `99999999999999999999`, `0.5`, `""`, `"x"`, `[]`, `{}`, `[null]`, `[[]]`, `[{}]`, `{"id":1}`,
	`"\u0000"`, `"\u001b[2J"`, `"\u009b"`, `"a\nb"`, `"\ud800"`, `"../../etc"`, `"/"`, `"::ffff:192.0.2.1"`, `"fe80::1%eth0"`, `"::/0"`,
	`"` + strings.Repeat("A", 600) + `"`,
	strings.Repeat("[", 50) + strings.Repeat("]", 50),
}

// mutants calls try with a document for each field, however deep, and a sixth of
// the nonsense, in turns, in its place.
func mutants(t *testing.T, doc []byte, try func(mutant []byte)) (n int) {
	t.Helper()
	fields := 0
	var walk func(v any, put func(raw json.RawMessage) any)
	walk = func(v any, put func(json.RawMessage) any) {
		fields++
		for i, bad := range nonsense {
			if (fields+i)%6 > 0 { // the fields of one object are many, and alike
				continue
			}
			out, err := json.Marshal(put(json.RawMessage(bad)))
			if err != nil {
				continue // beyond what Go writes
			}
			try(out)
			n++
		}
		switch v := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				inner := v[k]
				walk(inner, func(raw json.RawMessage) any {
					c := map[string]any{}
					for o, x := range v {
						c[o] = x
					}
					c[k] = raw
					return put(mustMarshal(t, c))
				})
			}
		case []any:
			for i, inner := range v {
				walk(inner, func(raw json.RawMessage) any {
					c := slices.Clone(v)
					c[i] = raw
					return put(mustMarshal(t, c))
				})
			}
		}
	}
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatal(err)
	}
	walk(v, func(raw json.RawMessage) any { return raw })
	return n
}

func mustMarshal(t *testing.T, v any) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every field of what the server answers and pushes, with every kind of
// nonsense in its place: what is accepted is sane, what is not has a name.
func TestWrongTypesAtEveryField(t *testing.T) {
	n := mutants(t, result(t, "60b-sync_routers-dvr-reply"), func(m []byte) {
		routers, bad, _ := decodeRouters(m)
		saneRouters(t, routers)
		saneMalformed(t, bad)
	})
	n += mutants(t, result(t, "17b-bulk_pull-ndpproxy-reply"), func(m []byte) {
		proxies, bad, _ := decodeProxies(m, "answer")
		saneProxies(t, proxies)
		saneMalformed(t, bad)
	})
	n += mutants(t, result(t, "19b-bulk_pull-port-reply"), func(m []byte) {
		if elems, err := list(m, "answer"); err == nil {
			ports, bad := decodePorts(elems)
			saneBoundPorts(t, ports)
			saneMalformed(t, bad)
		}
	})
	for _, name := range []string{"08-routers_updated", "09-router_added_to_agent", "10-router_removed_from_agent",
		"11-router_deleted", "13-push-ndpproxy-created", "14-push-ndpproxy-deleted", "16-push-port-deleted"} {
		r := request(t, name)
		n += mutants(t, r.Args, func(m []byte) {
			e, err := decodeNotification(&oslo.Request{Method: r.Method, Args: m}, Header{}, everything)
			saneEvent(t, e, err)
		})
	}
	t.Logf("%d mutants", n)
}

// usage is what fn allocates in all, what is left of it, and the processor's time
// that it takes: the machine may be busy.
func usage[T any](fn func() T) (allocated, kept uint64, took time.Duration, out T) {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := cpu()
	out = fn()
	took = cpu() - start
	runtime.ReadMemStats(&after)
	allocated = after.TotalAlloc - before.TotalAlloc
	runtime.GC()
	runtime.ReadMemStats(&after)
	return allocated, after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc), took, out
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // documented to fail for no such call
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Large answers, made so that each byte costs most: an error or a result, and
// memory that is in proportion to the message. A small part of what a message may
// have is enough to see it.
func TestHugeAnswers(t *testing.T) {
	const size = oslo.MaxMessage / 32
	fill := func(head, each, tail string) []byte {
		b := bytes.NewBufferString(head)
		for b.Len()+len(each)+len(tail) < size {
			b.WriteString(each)
		}
		b.WriteString(tail)
		return b.Bytes()
	}
	port := func(field string) (head, tail string) {
		head = `[{"id":"r","admin_state_up":true,"enable_ndp_proxy":true,"_interfaces":[{"id":"p","network_id":"n","mac_address":"fa:16:3e:00:00:01","` + field + `":[`
		return head, `{}]}]}]`
	}
	fixedHead, fixedTail := port("fixed_ips")
	subnetHead, subnetTail := port("subnets")
	for _, c := range []struct {
		name, head, each, tail, says string
	}{
		{"numbers for routers", `[`, `1,`, `1]`, "answer of sync_routers has more than 131072 elements"},
		{"interfaces", `[{"id":"r","admin_state_up":true,"enable_ndp_proxy":true,"_interfaces":[`, `{},`, `{}]}]`, "_interfaces has more than 4096 elements"},
		{"addresses of a port", fixedHead, `{},`, fixedTail, "a list of more than 4096"},
		{"subnets of a port", subnetHead, `{},`, subnetTail, "a list of more than 4096"},
		{"a name", `[{"id":"r","admin_state_up":true,"enable_ndp_proxy":true,"name":"`, `AAAAAAAAAAAAAAAA`, `"}]`, ""},
		{"fields nobody knows", `[{"id":"r","admin_state_up":true,"enable_ndp_proxy":true`, `,"a":1`, `}]`, ""},
		{"nesting", ``, `[`, ``, "answer of sync_routers is not a list"},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := fill(c.head, c.each, c.tail)
			type answer struct {
				routers []Router
				bad     []Malformed
				err     error
			}
			allocated, kept, took, got := usage(func() answer {
				r, b, err := decodeRouters(raw)
				return answer{r, b, err}
			})
			said := fmt.Sprint(got.err)
			for _, m := range got.bad {
				said += " " + m.Err.Error()
			}
			if c.says != "" && (!strings.Contains(said, c.says) || len(got.routers) > 0) {
				t.Errorf("%d routers, %.300s", len(got.routers), said)
			}
			saneRouters(t, got.routers)
			// Three times the message: the elements of the list, a list in one of
			// them, and the elements of that.
			if allocated > 4*size || kept > 1<<20 {
				t.Errorf("%d MiB were allocated, %d KiB are kept", allocated>>20, kept>>10)
			}
			if took > 20*time.Second {
				t.Errorf("took %v", took)
			}
			t.Logf("%d MiB allocated, %d KiB kept, %v", allocated>>20, kept>>10, took.Round(time.Millisecond))
			runtime.KeepAlive(raw)
		})
	}
}

// The last of equal keys counts, as for Python's json module: what the L3 agent
// beside us understands.
func TestDuplicateKeys(t *testing.T) {
	elem := func(data string) []byte {
		return []byte(`[{"versioned_object.name":"NDPProxy","versioned_object.version":"1.0","versioned_object.data":` + data + `}]`)
	}
	proxies, bad, err := decodeProxies(elem(`{"id":"a","id":"b","router_id":"r","ip_address":"2001:db8::1","ip_address":"2001:db8::2"}`), "answer")
	if err != nil || len(bad) > 0 || len(proxies) != 1 || proxies[0].ID != "b" || proxies[0].Addr.String() != "2001:db8::2" {
		t.Errorf("%v %v %v", proxies, bad, err)
	}
	proxies, bad, err = decodeProxies(elem(`{"id":"a","router_id":"r","ip_address":"2001:db8::1","ip_address":"fe80::1"}`), "answer")
	if err != nil || len(proxies) > 0 || len(bad) != 1 || bad[0].ID != "a" {
		t.Errorf("%v %v %v", proxies, bad, err)
	}
}

// An id is refused unless it can name a namespace, a device and a file, wherever
// it stands.
func TestHostileIDs(t *testing.T) {
	for _, id := range []string{"", ".", "..", "../x", "a/b", "/etc/passwd", `a\b`, "a b", "a\x00b", "a\nb", "a\x1b[2Jb", "%2e%2e", "é", "a%s", "a*", "a#", "a:b",
		strings.Repeat("a", 65), strings.Repeat("a", 1<<20)} {
		quoted, err := json.Marshal(id)
		if err != nil {
			t.Fatal(err)
		}
		object := func(kind, data string) json.RawMessage {
			return json.RawMessage(`[{"versioned_object.name":"` + kind + `","versioned_object.version":"1.4","versioned_object.data":` + data + `}]`)
		}
		for _, data := range []string{
			`{"id":%s,"router_id":"r","ip_address":"2001:db8::1"}`,
			`{"id":"a","router_id":%s,"ip_address":"2001:db8::1"}`,
			`{"id":"a","router_id":"r","port_id":%s,"ip_address":"2001:db8::1"}`,
		} {
			if strings.Contains(data, "port_id") && id == "" {
				continue // an attachment that serves all needs no port
			}
			proxies, bad, err := decodeProxies(object("NDPProxy", fmt.Sprintf(data, quoted)), "answer")
			if err != nil || len(proxies) > 0 || len(bad) != 1 {
				t.Errorf("%.20q: %v %v", id, proxies, err)
			}
			saneMalformed(t, bad)
		}
		if _, bad := decodePorts([]json.RawMessage{object("Port", fmt.Sprintf(`{"id":%s,"bindings":[]}`, quoted))[1:]}); len(bad) != 1 {
			t.Errorf("port %.20q", id)
		}
		for _, router := range []string{
			`[{"id":%s,"admin_state_up":true,"enable_ndp_proxy":true}]`,
			`[{"id":"r","admin_state_up":true,"enable_ndp_proxy":true,"gw_port":{"id":%s,"network_id":"n","mac_address":"fa:16:3e:00:00:01"}}]`,
			`[{"id":"r","admin_state_up":true,"enable_ndp_proxy":true,"gw_port":{"id":"p","network_id":%s,"mac_address":"fa:16:3e:00:00:01"}}]`,
		} {
			routers, bad, err := decodeRouters(fmt.Appendf(nil, router, quoted))
			if err != nil || len(routers) > 0 || len(bad) != 1 {
				t.Errorf("%.20q: %v %v", id, routers, err)
			}
			saneMalformed(t, bad)
		}
		for _, m := range []oslo.Request{
			{Method: "routers_updated", Args: fmt.Appendf(nil, `{"routers":["good",%s]}`, quoted)},
			{Method: "router_deleted", Args: fmt.Appendf(nil, `{"router_id":%s}`, quoted)},
		} {
			if e, err := decodeNotification(&m, Header{}, nil); err == nil {
				t.Errorf("%.20q: %v", id, e)
			}
		}
	}
}

// The counting of elements agrees with what a decoder finds.
func TestLonger(t *testing.T) {
	for _, raw := range []string{`[]`, `[1]`, `[1,2]`, `[[1,2,3]]`, `[{"a":1,"b":2},2]`, `["a,b","\",,\\",3]`, ` [ 1 , 2 , 3 ] `, `null`, `"a,b"`} {
		var l []json.RawMessage
		if json.Unmarshal([]byte(raw), &l) != nil {
			l = nil
		}
		for most := range 5 {
			if got, want := longer([]byte(raw), most+1), len(l) > most+1; got != want {
				t.Errorf("longer(%s, %d) = %v", raw, most+1, got)
			}
		}
	}
}

// A good answer with many proxies: what is kept of
// it is in proportion to its size.
func TestLargeGoodAnswer(t *testing.T) {
	const n = maxList / 16
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `,{"versioned_object.name":"NDPProxy","versioned_object.namespace":"versionedobjects","versioned_object.version":"1.0","versioned_object.data":`+
			`{"id":"%08x-0000-4000-8000-000000000000","project_id":"0123456789abcdef0123456789abcdef","name":"","router_id":"1596edf1-d27f-4b01-a7ae-9f10b3ab9c16",`+
			`"port_id":"%08x-0000-4000-8000-000000000001","ip_address":"2001:db8::%x:%x","created_at":"2026-11-22T17:50:30Z","revision_number":0}}`, i, i, i>>16, i&0xffff)
	}
	raw := append(append([]byte("["), b.Bytes()[1:]...), ']')
	allocated, kept, took, got := usage(func() []NDPProxy {
		proxies, bad, err := decodeProxies(raw, "answer")
		if err != nil || len(bad) > 0 {
			t.Error(err, bad)
		}
		return proxies
	})
	if len(got) != n || kept > uint64(len(raw)) || allocated > 10*uint64(len(raw)) {
		t.Errorf("%d proxies of %d MiB: %d MiB allocated, %d MiB kept", len(got), len(raw)>>20, allocated>>20, kept>>20)
	}
	t.Logf("%d proxies of %d MiB: %d MiB allocated, %d MiB kept, %v", len(got), len(raw)>>20, allocated>>20, kept>>20, took.Round(time.Millisecond))
	runtime.KeepAlive(raw)
}
