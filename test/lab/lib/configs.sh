# shellcheck shell=bash disable=SC2154
# write_configs: what neutron's processes read, under $LAB_DIR/etc. Sourced by lib/start.

neutron_conf() { # neutron_conf HOST BROKER_ADDRESS DRIVER
    cat <<C
[DEFAULT]
host = $1
core_plugin = ml2
service_plugins = router,ndp_proxy
auth_strategy = noauth
api_paste_config = /etc/neutron/api-paste.ini
bind_host = 127.0.0.1
bind_port = $LAB_API_PORT
api_workers = 1
rpc_workers = 1
transport_url = rabbit://$LAB_USER:$LAB_PASS@$2:$LAB_AMQP_PORT/
state_path = $LAB_DIR/state/$1
interface_driver = $3
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
dhcp_agent_notification = false
dhcp_agents_per_network = 1
max_l3_agents_per_router = 2
debug = true
use_stderr = true
[agent]
root_helper = sudo
[database]
connection = mysql+pymysql://neutron:neutron@localhost/neutron?unix_socket=$LAB_DIR/db/mysqld.sock
[experimental]
linuxbridge = true
[oslo_concurrency]
lock_path = $LAB_DIR/state/$1/lock
[oslo_policy]
policy_dirs = $LAB_DIR/etc/policy.d
[quotas]
default_quota = -1
quota_network = -1
quota_subnet = -1
quota_port = -1
quota_router = -1
quota_floatingip = -1
C
}
linuxbridge_ini() { # linuxbridge_ini UNDERLAY_ADDRESS
    cat <<C
[linux_bridge]
physical_interface_mappings = public:$LAB_PHYS_IF
[vxlan]
enable_vxlan = true
local_ip = $1
vxlan_group = 239.1.1.1
l2_population = false
[securitygroup]
enable_security_group = false
firewall_driver = noop
C
}
openvswitch_ini() { # openvswitch_ini UNDERLAY_ADDRESS
    local dvr=true
    [ "$LAB_AGENT_MODE$LAB_AGENT_MODE2" = legacylegacy ] && dvr=false
    cat <<C
[ovs]
datapath_type = netdev
bridge_mappings = public:br-ex,tenant:br-tnt
local_ip = $1
[agent]
tunnel_types =
l2_population = true
enable_distributed_routing = $dvr
[securitygroup]
enable_security_group = false
firewall_driver = noop
C
}
l3_ini() { # l3_ini MODE DRIVER
    cat <<C
[DEFAULT]
agent_mode = $1
interface_driver = $2
enable_metadata_proxy = false
[agent]
C
    if [ -n "$LAB_L3_EXT" ]; then echo "extensions = $LAB_L3_EXT"; fi
    # keepalived that ended is started again within seconds, not a minute: tests wait for it
    if [ "$LAB_HOST2" = 1 ]; then echo "check_child_processes_interval = 3"; fi
}
ml2_ini() {
    # Linux bridge tenants are vxlan because not every kernel has vlan devices; OVS tags them itself
    local tenant=vxlan driver=linuxbridge
    [ "$LAB_L2" = ovs ] && tenant=vlan driver=openvswitch,l2population
    cat <<C
[ml2]
type_drivers = flat,$tenant,local
tenant_network_types = $tenant
mechanism_drivers = $driver
extension_drivers = port_security
[ml2_type_flat]
flat_networks = public
[ml2_type_vxlan]
vni_ranges = 100:1000
[ml2_type_vlan]
network_vlan_ranges = tenant:100:199
[securitygroup]
enable_security_group = false
C
}
write_configs() {
    local e=$LAB_DIR/etc h broker underlay mode driver=linuxbridge
    [ "$LAB_L2" = ovs ] && driver=openvswitch
    mkdir -p "$e/policy.d"
    ml2_ini >"$e/ml2_conf.ini"
    for h in "$LAB_HOST1" "$LAB_HOST2_NAME"; do
        mkdir -p "$e/$h" "$LAB_DIR/state/$h/lock"
        broker=127.0.0.1 underlay=$LAB_UL_NET.1 mode=$LAB_AGENT_MODE
        [ "$h" = "$LAB_HOST1" ] || broker=$LAB_UL_NET.1 underlay=$LAB_UL_NET.2 mode=$LAB_AGENT_MODE2
        neutron_conf "$h" "$broker" "$driver" >"$e/$h/neutron.conf"
        chmod 0640 "$e/$h/neutron.conf" # as the packages have it: a password is in it
        linuxbridge_ini "$underlay" >"$e/$h/linuxbridge_agent.ini"
        openvswitch_ini "$underlay" >"$e/$h/openvswitch_agent.ini"
        l3_ini "$mode" "$driver" >"$e/$h/l3_agent.ini.new"
        if ! cmp -s "$e/$h/l3_agent.ini.new" "$e/$h/l3_agent.ini" 2>/dev/null; then
            # configuration changed: that agent is started again by our caller
            if [ "$h" = "$LAB_HOST1" ]; then stop_pid l3-agent; else stop_pid l3-agent-host2; fi
        fi
        mv "$e/$h/l3_agent.ini.new" "$e/$h/l3_agent.ini"
    done
}
