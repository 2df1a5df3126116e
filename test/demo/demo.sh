#!/bin/bash
# The main job without a cloud: an upstream router, a router namespace and an
# instance; the daemon reads what to publish from a file. Every claim printed
# with "ok" was checked on packets, neighbour caches or the kernel's own lists;
# one that is false ends the demo with a non-zero exit.
#
#   usage: test/demo/demo.sh          (as root, after make build; or: make demo)
#   DEMO_AGENT=path     the daemon to run (default bin/neutron-ndp-proxy-agent)
#   DEMO_LOG=path       keep the daemon's log there
#
#   ndpdemo-upstream            ndpdemo-router                 ndpdemo-instance
#   up0  2001:db8::1/64  <--->  qg-demo 2001:db8::2/64
#                               qr-demo 2001:db8:0:1::1/64 <---> eth0 ::5 ::6 ::7
#
# The upstream has the direct route that Neutron's guide asks for:
# 2001:db8:0:1::/64 dev up0, so it solicits for every instance address.
# Nothing leaves these namespaces.
set -euo pipefail
export LC_ALL=C

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
agent=${DEMO_AGENT:-bin/neutron-ndp-proxy-agent}

up=ndpdemo-upstream rt=ndpdemo-router vm=ndpdemo-instance
pub=2001:db8:0:1::5 later=2001:db8:0:1::6 closed=2001:db8:0:1::7
subnet=2001:db8:0:1::/64 gateway=2001:db8::2
qg_mac=02:00:5e:10:00:02 elsewhere_mac=02:00:5e:10:00:99
protocol=110 table=neutron_ndp_proxy

# ---------------------------------------------------------------- reporting

bold='' plain='' green='' red=''
if [ -t 1 ]; then
    bold=$'\e[1m' plain=$'\e[0m' green=$'\e[32m' red=$'\e[31m'
fi
claims=0

section() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
note()    { printf '   %s\n' "$*"; }
ok()      { claims=$((claims + 1)); printf '   %sok%s    %s\n' "$green" "$plain" "$*"; }
fail() {
    printf '   %sFALSE%s %s\n' "$red" "$plain" "$*"
    if [ -s "$work/agent.log" ]; then
        printf '\nlast lines of the daemon'"'"'s log:\n'
        tail -n 20 "$work/agent.log"
    fi
    exit 1
}
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

# show COMMAND...: print the command as an operator would type it, and its output.
show() { printf '   # %s\n' "$*"; "$@" 2>&1 | sed 's/^/     /'; }

# ---------------------------------------------------------------- processes

work='' agent_pid='' tcpdump_pid=''

# stop PID: SIGTERM, and after five seconds SIGKILL; only for our own children.
stop() {
    local pid=$1 i
    [ -n "$pid" ] || return 0
    kill -TERM "$pid" 2>/dev/null || true
    for ((i = 0; i < 100; i++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

remove_namespaces() {
    local ns
    for ns in "$up" "$rt" "$vm"; do
        [ ! -e "/run/netns/$ns" ] || ip netns del "$ns"
    done
}

# shellcheck disable=SC2317  # called by the trap
cleanup() {
    local code=$?
    trap '' INT TERM HUP
    trap - EXIT
    stop "$agent_pid"
    stop "$tcpdump_pid"
    remove_namespaces || code=1
    if [ -n "$work" ]; then
        [ -z "${DEMO_LOG:-}" ] || cp "$work/agent.log" "$DEMO_LOG" 2>/dev/null || true
        rm -rf "$work"
    fi
    exit "$code"
}

# until_true SECONDS COMMAND...: poll; the effect is what counts, not a sleep.
until_true() {
    local deadline=$((SECONDS + $1))
    shift
    while ! "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.05
    done
}

# --------------------------------------------------------------- observations

# answers ADDRESS COUNT: COUNT pings from the upstream, all of them answered.
answers() {
    ip netns exec "$up" ping -n -q -c "$2" -i 0.2 -W 1 "$1" >"$work/ping" 2>&1 || return 1
    grep -q " $2 received" "$work/ping"
}

# silent ADDRESS COUNT: not one of COUNT pings is answered.
silent() {
    ip netns exec "$up" ping -n -q -c "$2" -i 0.2 -W 1 "$1" >"$work/ping" 2>&1 || true
    grep -q ' 0 received' "$work/ping"
}

cache()     { ip -n "$up" -6 neigh show "$1" dev up0; }
cache_has() { cache "$1" | grep -q "$2"; }
proxied()   { ip -n "$rt" -6 neigh show proxy dev qg-demo proto "$protocol" | grep -q "^$1 "; }
unproxied() { ! proxied "$1"; }
sysctl_is() { [ "$(ip netns exec "$rt" sysctl -n "$1")" = "$2" ]; }
has_link_local() {
    ip -n "$1" -6 addr show dev "$2" scope link -tentative | grep -q inet6
}
captured()  { grep -q "advertisement.* tgt is $1," "$work/na"; }
listening() { grep -q 'listening on' "$work/tcpdump.err"; }
# NAs are two lines each in the capture: Ethernet and IPv6, then ICMPv6.
advertisement() { grep -A 2 "tgt is $1," "$work/na" | head -n 2; }

publish() {
    # Written beside and renamed, so that the daemon never reads half a file.
    {
        printf 'version: 1\nnamespaces:\n  - name: %s\n    devices:\n      - name: qg-demo\n' "$rt"
        printf '        gateway_addresses: [%s]\n        internal_subnets: [%s]\n' "$gateway" "$subnet"
        printf '        published: [%s]\n' "$1"
    } >"$work/published.yaml.new"
    mv "$work/published.yaml.new" "$work/published.yaml"
}

# ------------------------------------------------------------------ beginning

[ "$(id -u)" = 0 ] || die 'needs root: it makes network namespaces'
for tool in ip nft ping tcpdump sysctl setpriv flock; do
    command -v "$tool" >/dev/null || die "$tool is missing (make demo installs it)"
done
[ -x "$agent" ] || die "$agent is missing: run make build first"
[ -e /proc/net/if_inet6 ] || die 'this kernel runs without IPv6'
exec 9>/run/ndpdemo.lock
flock -n 9 || { note 'another demo is running: waiting for it'; flock -w 120 9 || die 'it does not end'; }

work=$(mktemp -d /tmp/ndpdemo.XXXXXX)
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
remove_namespaces # of an earlier run that was killed
started=$SECONDS

section 'Topology: an upstream router, a router namespace, an instance'
for ns in "$up" "$rt" "$vm"; do
    ip netns add "$ns"
    # Duplicate address detection would cost a second per address.
    ip netns exec "$ns" sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.dad_transmits=0
    ip -n "$ns" link set lo up
done
ip -n "$rt" link add qg-demo address "$qg_mac" type veth peer name up0 netns "$up" address 02:00:5e:10:00:01
ip -n "$rt" link add qr-demo address 02:00:5e:10:00:03 type veth peer name eth0 netns "$vm" address 02:00:5e:10:00:04
ip netns exec "$up" sysctl -qw net.ipv6.conf.all.forwarding=1
ip netns exec "$rt" sysctl -qw net.ipv6.conf.all.forwarding=1
for pair in "$up up0" "$rt qg-demo" "$rt qr-demo" "$vm eth0"; do
    read -r ns dev <<<"$pair"
    ip -n "$ns" link set "$dev" up
done
ip -n "$up" addr add 2001:db8::1/64 dev up0
ip -n "$rt" addr add "$gateway/64" dev qg-demo
ip -n "$rt" addr add 2001:db8:0:1::1/64 dev qr-demo
for address in "$pub" "$later" "$closed"; do ip -n "$vm" addr add "$address/64" dev eth0; done
ip -n "$up" route add "$subnet" dev up0
ip -n "$rt" route add default via 2001:db8::1
ip -n "$vm" route add default via 2001:db8:0:1::1
until_true 5 has_link_local "$up" up0 || fail 'the upstream has no link-local address'
until_true 5 has_link_local "$rt" qg-demo || fail 'the router has no link-local address'
note "upstream router $up:  up0 2001:db8::1, route $subnet dev up0"
note "router          $rt:    qg-demo $gateway (gateway device), qr-demo 2001:db8:0:1::1"
note "instance        $vm:  $pub, $later, $closed"

section 'Before: nobody answers for the instance on the upstream link'
silent "$pub" 2 || fail "$pub answers without the daemon"
show ip -n "$up" -6 neigh show "$pub" dev up0
ok "ping from the upstream to $pub: no answer"
ip -n "$up" route add "$closed/128" via "$gateway"
answers "$closed" 2 || fail "the path through the router does not work, so the demo would prove nothing"
ok "and nothing is filtered yet: $closed answers when routed via the gateway address"
ip -n "$up" route del "$closed/128"
# What an upstream router remembers when the address has moved here from another node.
ip -n "$up" -6 neigh replace "$pub" lladdr "$elsewhere_mac" dev up0 nud reachable
note "the upstream now believes that $pub lives on another node, $elsewhere_mac"

section 'Start: the daemon reads what to publish from a file'
publish "$pub"
cat >"$work/agent.ini" <<END
[ndp_proxy]
source = file
source_file = $work/published.yaml
runtime_dir = $work/run
END
show cat "$work/agent.ini" "$work/published.yaml"
setpriv --pdeathsig KILL ip netns exec "$up" tcpdump -l -n -e -v -i up0 \
    'icmp6 and ip6[40] == 136 and dst ff02::1' >"$work/na" 2>"$work/tcpdump.err" 9>&- &
tcpdump_pid=$!
until_true 10 listening || fail 'tcpdump does not start'
setpriv --pdeathsig KILL "$agent" --config-file "$work/agent.ini" >"$work/agent.log" 2>&1 9>&- &
agent_pid=$!
note "# $agent --config-file $work/agent.ini"
until_true 15 proxied "$pub" || fail "no proxy entry for $pub within 15 s"
kill -0 "$agent_pid" 2>/dev/null || fail 'the daemon has ended'
ok "the kernel has a proxy entry for $pub on qg-demo"

section 'The advertisement on the wire, and what the upstream made of it'
until_true 10 captured "$pub" || fail "no unsolicited neighbour advertisement for $pub within 10 s"
advertisement "$pub" | sed 's/^/     /'
advertisement "$pub" >"$work/one"
grep -q "hlim 255" "$work/one" || fail 'hop limit is not 255'
grep -q 'Flags \[override\]' "$work/one" || fail 'flags are not exactly [override]'
ok 'to all nodes, hop limit 255, Override set, neither Solicited nor Router'
until_true 2 cache_has "$pub" "$qg_mac" || fail "the upstream's cache still says: $(cache "$pub")"
show ip -n "$up" -6 neigh show "$pub" dev up0
ok "the upstream's cache moved from $elsewhere_mac to qg-demo's $qg_mac, before any packet was sent"

section 'After: the instance answers'
answers "$pub" 3 || fail "$pub does not answer"
ok "ping from the upstream to $pub: 3 of 3"
ip -n "$up" -6 neigh del "$pub" dev up0
ip netns exec "$up" ping -n -c 1 -W 2 "$pub" >"$work/ping" || fail "$pub does not answer after its neighbour entry was removed"
rtt=$(sed -n 's/.* time=\([0-9.]*\) ms$/\1/p' "$work/ping")
awk -v t="$rtt" 'BEGIN { exit !(t != "" && t < 10) }' || fail "first answer after ${rtt:-?} ms, not under 10 ms"
ok "the first answer with an empty neighbour cache took $rtt ms (the kernel's own default waits up to 800 ms)"
# A unicast solicitation, as every neighbour unreachability check sends it.
ip -n "$up" -6 neigh replace "$pub" lladdr "$qg_mac" dev up0 nud probe
until_true 3 cache_has "$pub" REACHABLE || fail "a unicast solicitation stays unanswered: $(cache "$pub")"
sysctl_is net.ipv6.conf.all.proxy_ndp 0 || fail 'conf.all.proxy_ndp is not 0'
ok 'a unicast solicitation (NUD) is answered too, with conf.all.proxy_ndp 0'

section 'An address that nobody published stays closed'
silent "$closed" 2 || fail "$closed answers although it is not published"
ok "$closed, on the direct route: no answer"
ip -n "$up" route add "$closed/128" via "$gateway"
ip -n "$up" route add "$pub/128" via "$gateway"
silent "$closed" 2 || fail "$closed answers when routed via the gateway address"
ok "$closed, routed via the gateway address: no answer"
answers "$pub" 2 || fail "$pub does not answer when routed via the gateway address"
ok "$pub, routed the same way: 2 of 2"
ip -n "$up" route del "$closed/128"
ip -n "$up" route del "$pub/128"

section 'Ask the daemon'
show "$agent" status --config-file "$work/agent.ini"
"$agent" explain --config-file "$work/agent.ini" "$pub" >"$work/explained" || fail "explain names a broken link: $(cat "$work/explained")"
ok "explain $pub: $(sed -n 's/^verdict  *//p' "$work/explained")"
code=0
show "$agent" explain --config-file "$work/agent.ini" "$closed" >"$work/explained" || code=$?
cat "$work/explained"
[ "$code" = 1 ] || fail "explain $closed ends with $code"
ok "explain $closed: exit 1, with the first broken link"

section 'The kernel state, all of it'
show ip -n "$rt" -6 neigh show proxy proto "$protocol"
show ip netns exec "$rt" sysctl net.ipv6.conf.qg-demo.proxy_ndp net.ipv6.neigh.qg-demo.proxy_delay
show ip netns exec "$rt" nft list table ip6 "$table"
sysctl_is net.ipv6.conf.qg-demo.proxy_ndp 1 || fail 'proxy_ndp is not set on qg-demo'

section 'Change the file while it runs'
silent "$later" 1 || fail "$later answers before it is published"
publish "$pub, $later"
until_true 10 proxied "$later" || fail "$later has no proxy entry within 10 s of the change"
answers "$later" 3 || fail "$later does not answer"
until_true 10 captured "$later" || fail "$later was not announced"
ok "published $later: entry, advertisement, ping 3 of 3"
publish "$later"
until_true 10 unproxied "$pub" || fail "$pub still has its proxy entry 10 s after the change"
until_true 3 silent "$pub" 2 || fail "$pub still answers"
answers "$later" 2 || fail "$later stopped answering when $pub was withdrawn"
ok "withdrew $pub: entry gone, ping silent; $later still answers"

section 'Stop the daemon: the dataplane stays as it is'
kill -TERM "$agent_pid"
code=0
wait "$agent_pid" || code=$?
agent_pid=''
[ "$code" = 0 ] || fail "the daemon ended with $code on SIGTERM"
proxied "$later" || fail "the daemon took $later with it"
answers "$later" 3 || fail "$later does not answer without the daemon"
ok "exit 0, and $later still answers"

section "All $claims claims hold ($((SECONDS - started)) s). Cleaning up."
