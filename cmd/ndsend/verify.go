package main

import (
	"cmp"

	"neutron-ndp-proxy-agent/ndsend"
)

// verified is the JSON object of a verification.
type verified struct {
	head
	*verification
}

type verification struct {
	Kind           ndsend.Kind          `json:"kind"`
	Router         bool                 `json:"router"`
	Multicast      bool                 `json:"multicast"`
	Unicast        ndsend.UnicastAnswer `json:"unicast"`
	Missing        []missing            `json:"missing"`
	UnicastMissing []missing            `json:"unicast_missing"`
	Source         string               `json:"source,omitempty"`
}

type missing struct {
	Condition ndsend.Condition `json:"condition"`
	Text      string           `json:"text"`
	Remedy    string           `json:"remedy"`
}

// verifyAll tells for each address whether the kernel would answer.
func (j *job) verifyAll() int {
	var all []ndsend.Verification
	err := j.denied
	if wanted := targets(j.items); err == nil && len(wanted) > 0 {
		all, err = j.verify(j.config(), wanted)
	}
	if err != nil {
		j.complain(err)
	}
	next, silent := 0, false
	for _, i := range j.items {
		if i.err != nil || err != nil {
			if j.json {
				j.object(verified{head: j.head("verify", i, cmp.Or(i.err, err))})
			}
			continue
		}
		v := all[next]
		next++
		silent = silent || !v.Multicast
		if j.json {
			h := j.head("verify", i, nil)
			h.OK = v.Multicast
			j.object(verified{h, newVerification(v)})
		} else {
			j.printVerification(v)
		}
	}
	return j.result(err != nil, silent)
}

func newVerification(v ndsend.Verification) *verification {
	out := &verification{
		Kind: v.Kind, Router: v.Router, Multicast: v.Multicast, Unicast: v.Unicast,
		Missing: newMissing(v.Missing), UnicastMissing: newMissing(v.UnicastMissing),
	}
	if v.Device.Source.IsValid() {
		out.Source = v.Device.Source.String()
	}
	return out
}

func newMissing(all []ndsend.Missing) []missing {
	out := []missing{}
	for _, m := range all {
		out = append(out, missing(m))
	}
	return out
}

// printVerification prints a line for the address, and one for each thing that
// is missing.
func (j *job) printVerification(v ndsend.Verification) {
	kinds := map[ndsend.Kind]string{
		ndsend.KindOwn: "an address of the interface", ndsend.KindAnycast: "an anycast address of the interface", ndsend.KindProxy: "proxied",
	}
	verdict := "would not be answered"
	if v.Multicast {
		verdict = "would be answered"
	}
	if kind := kinds[v.Kind]; kind != "" {
		verdict = kind + ", " + verdict
	}
	j.line("%s on %s: %s", v.Target, j.device, verdict)
	for _, m := range v.Missing {
		j.line("    %s; to do: %s", m.Text, m.Remedy)
	}
	if v.Unicast == ndsend.UnicastNeedsRule {
		j.line("    a unicast solicitation: only with a packet filter's rule such as neutron-ndp-proxy-agent's, because")
		for _, m := range v.UnicastMissing {
			j.line("        %s", m.Text)
		}
	}
}
