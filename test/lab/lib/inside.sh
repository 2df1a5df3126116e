# shellcheck shell=bash disable=SC2034  # used by those who source it
# Helpers of the scripts that run inside the lab's namespaces. Sourced, never run.
# Every process started has its pid (of this PID namespace) in $LAB_DIR/run/<name>.pid and its output
# in $LAB_DIR/log/<name>.log.
# shellcheck source=env.sh
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
[ "${LAB_INSIDE:-}" = "$LAB_DIR" ] || exec "$LAB_HERE/enter" "$0" "$@"

LAB_AMQP_PORT=5672
LAB_API_PORT=9696
LAB_USER=neutron LAB_PASS=neutron        # the broker's account; reachable only in here
LAB_UL_NET=10.255.0                      # underlay of the lab hosts (.1, .2)
LAB_PHYS_IF=lab-ext0                     # physical interface of network "public"
LAB_UPSTREAM_NS=lab-upstream             # the datacenter router
LAB_UPSTREAM_IF=dc0                      # its interface towards "public"
LAB_BEHIND_NS=lab-behind                 # a host behind the datacenter router
LAB_BEHIND_NET=2001:db8:ffff:            # its /64 (router ::1, host ::2), outside the pool
LAB_TNT_IF=lab-tnt0                      # LAB_L2=ovs: link between the hosts' tenant bridges

# A clean environment: Debian's own Python, no proxies, no foreign HOME.
CLEAN=(env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
    "HOME=$LAB_DIR/home" PYTHONDONTWRITEBYTECODE=1)
RABBIT=("${CLEAN[@]}" "HOME=$LAB_DIR/rabbitmq"
    RABBITMQ_NODENAME=rabbit@localhost
    "RABBITMQ_MNESIA_BASE=$LAB_DIR/rabbitmq/mnesia"
    "RABBITMQ_LOG_BASE=$LAB_DIR/rabbitmq/log"
    "RABBITMQ_PID_FILE=$LAB_DIR/rabbitmq/rabbit.pid"
    "RABBITMQ_CONFIG_FILE=$LAB_DIR/rabbitmq/rabbitmq.conf"
    "RABBITMQ_ENABLED_PLUGINS_FILE=$LAB_DIR/rabbitmq/enabled_plugins"
    RABBITMQ_CONF_ENV_FILE=/dev/null)

rmq() { "${RABBIT[@]}" /usr/lib/rabbitmq/bin/rabbitmqctl -q "$@"; }
db() { "${CLEAN[@]}" mariadb --no-defaults --socket="$LAB_DIR/db/mysqld.sock" -u root "$@"; }
# osc ARGS...: the openstack client against the keystone-less API
osc() { "${CLEAN[@]}" openstack --os-auth-type none --os-endpoint "http://127.0.0.1:$LAB_API_PORT" "$@"; }
api() { # api METHOD PATH [JSON]
    local c=(curl -sS --noproxy '*' -X "$1")
    [ $# -gt 2 ] && c+=(-H 'Content-Type: application/json' -d "$3")
    "${c[@]}" "http://127.0.0.1:$LAB_API_PORT$2"
}
# jget EXPR: print a Python expression over the JSON document on stdin (d)
jget() { /usr/bin/python3 -c 'import json,sys; d=json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }

pid_of() { cat "$LAB_DIR/run/$1.pid" 2>/dev/null; }
alive() {
    local p; p=$(pid_of "$1") || return 1
    [ -n "$p" ] && [ -d "/proc/$p" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$p/status" 2>/dev/null
}
# spawn NAME CMD...: start in the background in its own session, remember the pid.
spawn() {
    local name=$1; shift
    if alive "$name"; then log "$name already running (pid $(pid_of "$name"))"; return 0; fi
    # 8 is the lock of `up`, which must end with it
    setsid "$@" >>"$LAB_DIR/log/$name.log" 2>&1 </dev/null 8>&- &
    echo $! >"$LAB_DIR/run/$name.pid"
    log "started $name (pid $!)"
}
# stop_pid NAME [SECONDS]: TERM, wait, then KILL; by the recorded pid only.
stop_pid() {
    local name=$1 limit=${2:-15} p i
    p=$(pid_of "$name") || return 0
    if alive "$name"; then
        kill -TERM "$p" 2>/dev/null
        for ((i = 0; i < limit * 10; i++)); do alive "$name" || break; sleep 0.1; done
        if alive "$name"; then log "$name (pid $p) did not stop in ${limit}s: KILL"; kill -KILL "$p" 2>/dev/null; fi
        log "stopped $name"
    fi
    rm -f "$LAB_DIR/run/$name.pid"
}
port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# on_host1 CMD... / on_host2 CMD...: run where that "host"'s agents run
on_host1() { "${CLEAN[@]}" "$@"; }
on_host2() { "${CLEAN[@]}" nsenter -t "$(pid_of host2-holder)" -m -n -- "$@"; }
# runner_of HOST: sets RUN to the command prefix that runs on that "host"
runner_of() { if [ "$1" = "$LAB_HOST2_NAME" ]; then RUN=(on_host2); else RUN=(on_host1); fi; }
# ovs_dir HOST / vsctl HOST ARGS...: every "host" has its own ovsdb-server and ovs-vswitchd
ovs_dir() { echo "$LAB_DIR/ovs/$1"; }
vsctl() { local h=$1; shift; "${CLEAN[@]}" ovs-vsctl --timeout=20 --db="unix:$(ovs_dir "$h")/db.sock" "$@"; }

# The services, one function each; all idempotent, none waits for another.
run_rabbitmq() {
    spawn rabbitmq "${RABBIT[@]}" /usr/lib/rabbitmq/bin/rabbitmq-server
    wait_for 90 "rabbitmq" port_open "$LAB_AMQP_PORT"
}
run_mariadb() {
    spawn mariadb "${CLEAN[@]}" mariadbd --no-defaults --user=root --datadir="$LAB_DIR/db/data" \
        --socket="$LAB_DIR/db/mysqld.sock" --pid-file="$LAB_DIR/db/mariadb.pid" --skip-networking \
        --character-set-server=utf8mb3 --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 \
        --max-connections=200
    wait_for 60 "mariadb" db -e 'select 1'
}
run_neutron-server() {
    spawn neutron-server "${CLEAN[@]}" neutron-server --config-file "$LAB_DIR/etc/$LAB_HOST1/neutron.conf" \
        --config-file "$LAB_DIR/etc/ml2_conf.ini"
    wait_for 90 "neutron API" curl -fsS --noproxy '*' "http://127.0.0.1:$LAB_API_PORT/v2.0/extensions/l3-ndp-proxy"
}
run_agent() { # run_agent l2|l3 HOST
    local suffix='' program=neutron-l3-agent conf=l3_agent.ini
    if [ "$1" = l2 ]; then
        program=neutron-linuxbridge-agent conf=linuxbridge_agent.ini
        [ "$LAB_L2" = ovs ] && program=neutron-openvswitch-agent conf=openvswitch_agent.ini
    fi
    local run=("${CLEAN[@]}")
    if [ "$2" != "$LAB_HOST1" ]; then
        suffix=-host2; run+=(nsenter -t "$(pid_of host2-holder)" -m -n --)
    fi
    spawn "$1-agent$suffix" "${run[@]}" "$program" --config-file "$LAB_DIR/etc/$2/neutron.conf" \
        --config-file "$LAB_DIR/etc/$2/$conf"
}
# agent_up HOST l2|l3 PIDNAME: alive for the server, and started after its process was
agent_up() {
    local type='L3 agent'
    [ "$2" = l2 ] && { type='Linux bridge agent'; [ "$LAB_L2" = ovs ] && type='Open vSwitch agent'; }
    api GET "/v2.0/agents?host=$1" | /usr/bin/python3 -c '
import calendar,json,os,sys,time
a=[x for x in json.load(sys.stdin)["agents"] if x["agent_type"]==sys.argv[1]]
since=calendar.timegm(time.strptime(a[0]["started_at"],"%Y-%m-%d %H:%M:%S"))
sys.exit(0 if a[0]["alive"] and since+1>=os.path.getmtime(sys.argv[2]) else 1)' "$type" "$LAB_DIR/run/$3.pid"
}

# instance_up NAME PORT_ID [RUNNER...]: a netns that plays the instance of a port.
# The host end of the veth is named as the L2 agent expects; the far end gets
# the port's MAC and its fixed addresses; the default route comes from the RA.
instance_up() {
    local name=$1 id=$2 doc mac tap br a; shift 2
    [ $# -eq 0 ] && set -- on_host1
    doc=$(api GET "/v2.0/ports/$id")
    mac=$(jget 'd["port"]["mac_address"]' <<<"$doc")
    tap=tap${id:0:11}
    "$@" ip netns add "inst-$name"
    "$@" ip link add "$tap" type veth peer name eth0 address "$mac" netns "inst-$name"
    if [ "$LAB_L2" = ovs ]; then
        # the compute service's part of the plugging on Open vSwitch
        "$@" ip link set "$tap" up
        br=$LAB_HOST1; [ "$1" = on_host2 ] && br=$LAB_HOST2_NAME
        vsctl "$br" -- --may-exist add-port br-int "$tap" -- set interface "$tap" \
            "external_ids:iface-id=$id" "external_ids:attached-mac=\"$mac\"" external_ids:iface-status=active
        "$@" ip netns exec "inst-$name" ethtool -K eth0 tx off >/dev/null
    else
        # the compute service's part of the plugging: the tap joins the network's bridge
        # (the L2 agent leaves the taps of compute:* ports to it)
        br=$(jget '"brq"+d["port"]["network_id"][:11]' <<<"$doc")
        "$@" ip link show "$br" >/dev/null 2>&1 || "$@" ip link add "$br" type bridge
        "$@" ip link set "$br" up
        "$@" ip link set "$tap" master "$br" up
    fi
    "$@" ip -n "inst-$name" link set lo up
    for a in $(jget '" ".join(i["ip_address"] for i in d["port"]["fixed_ips"])' <<<"$doc"); do
        case $a in
            *:*) "$@" ip -n "inst-$name" addr add "$a/112" dev eth0 nodad ;;
            *)   "$@" ip -n "inst-$name" addr add "$a/24" dev eth0 ;;
        esac
    done
    # up last: the kernel then solicits a router over a link that already works
    "$@" ip -n "inst-$name" link set eth0 mtu 1450 up
}
# instance_down NAME [RUNNER...]
instance_down() {
    local name=$1 h=$LAB_HOST1 p; shift
    [ $# -eq 0 ] && set -- on_host1
    "$@" ip netns del "inst-$name" 2>/dev/null
    [ "$LAB_L2" = ovs ] || return 0
    # the taps whose device went away with the namespace
    [ "$1" = on_host2 ] && h=$LAB_HOST2_NAME
    for p in $(vsctl "$h" list-ports br-int 2>/dev/null | grep '^tap'); do
        "$@" ip link show "$p" >/dev/null 2>&1 || vsctl "$h" --if-exists del-port br-int "$p"
    done
    return 0
}
port_active() { [ "$(api GET "/v2.0/ports/$1" | jget 'd["port"]["status"]')" = ACTIVE ]; }
