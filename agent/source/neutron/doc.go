// Package neutron is the source that listens to Neutron: it turns what the
// server says of this host's routers, their NDP proxies and, beside a
// distributed L3 agent, the places of the proxies' ports into inventory
// changes.
//
// A pushed NDPProxy or Port object is applied at once from its payload.
// Everything else is a reason to ask: a message about a router asks for that
// router, a new subscription asks for everything, and a periodic audit asks for
// what may have changed without a word (a port that is deleted takes its
// proxies along in the database; a push of a port is lost when its exchange
// just went or came).
//
// # Calls
//
// One goroutine asks for routers and proxies, one thing after the other, so that
// no answer is older than the message that was the reason. Ports have two of
// their own, one for those that somebody waits for and one for all of them: the
// routers and their proxies count as soon as they are known, whatever becomes
// of the ports. A port whose place is not known (yet) has none (Anywhere), which
// leaves what is published as it is.
//
// Answers about ports and pushes come in any order; the highest revision wins,
// see sighting.
//
// The number of calls does not depend on the number of routers, proxies and
// ports but for the size of a chunk (Config of rpc/neutron):
//
//	                          ids  routers  proxies  ports  L3 agents
//	full sync                  1      1        1      dvr    snat
//	message about a router     -      1        1      dvr    snat, once for a host
//	audit                      -      1        1      dvr    snat
//	proxy of an unknown port   -      -        -      dvr    snat, once for a host
//	port moved to a new host   -      -        -      -      snat, once for a host
//	port deleted               -      -        1      -      -
//
// dvr: one call beside an L3 agent in mode dvr or dvr_snat, if there are such
// ports; snat: one in mode dvr_snat, if such ports are on other hosts. The audit
// also binds our queue again (Renew), in case somebody deleted an exchange, and
// looks for the exchange of Port pushes (Reprobe).
//
// What an answer lacks of that which was here, although no message said that it
// went, is asked for once more a second later, and counts only if the second
// answer lacks it too. So is everything in the first full sync, if an earlier run
// left something published.
package neutron
