# shellcheck shell=bash disable=SC2034  # used by those who source it
# Settings of the lab and the helpers of the scripts that run outside it. Sourced, never run.
#
# The lab is one small machine of its own: an init process in its own mount, network, PID, UTS and IPC
# namespace. Everything of the lab lives below it. So no port of the real machine can be taken, nothing is
# visible to anybody else, and when the init dies the kernel removes every process, device and namespace.

set -u
LAB_DIR=${LAB_DIR:-/tmp/ndp-lab}
LAB_HOST1=${LAB_HOST1:-lab-host1}                    # `host =` of the first L3/L2 agents
LAB_HOST2_NAME=${LAB_HOST2_NAME:-lab-host2}
LAB_HOST2=${LAB_HOST2:-0}                            # 1: also run a second "host" (own netns)
LAB_L3_EXT=${LAB_L3_EXT:-}                           # "ndp_proxy": upstream's in-agent extension ON
LAB_L2=${LAB_L2:-linuxbridge}                        # ovs: Open vSwitch agent over the userspace datapath
# L3 agent modes: legacy, dvr, dvr_snat, dvr_no_external. Two hosts with Open vSwitch are for DVR.
if [ "$LAB_L2$LAB_HOST2" = ovs1 ] && [ -z "${LAB_AGENT_MODE:-}" ]; then
    LAB_AGENT_MODE=dvr_snat LAB_AGENT_MODE2=${LAB_AGENT_MODE2:-dvr}
fi
LAB_AGENT_MODE=${LAB_AGENT_MODE:-legacy}             # of host 1
LAB_AGENT_MODE2=${LAB_AGENT_MODE2:-$LAB_AGENT_MODE}  # of host 2
export LAB_DIR LAB_HOST1 LAB_HOST2_NAME LAB_HOST2 LAB_L3_EXT LAB_AGENT_MODE LAB_AGENT_MODE2 LAB_L2

LAB_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
case $LAB_DIR in
    /?*) ;;
    *) echo "LAB_DIR must be an absolute path, not '$LAB_DIR'" >&2; exit 2 ;;
esac
case $LAB_L2 in
    linuxbridge | ovs) ;;
    *) echo "LAB_L2 must be linuxbridge or ovs, not '$LAB_L2'" >&2; exit 2 ;;
esac

log() { printf '%s lab: %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
die() { log "FATAL: $*"; exit 1; }

# lab_init: the pid of this LAB_DIR's init as seen from here, found by what it is and not by a pid file,
# which a killed run may have left behind: its command line is ours and it is pid 1 of its namespace.
lab_init() {
    local p line words
    for p in /proc/[0-9]*; do
        mapfile -d '' -t words <"$p/cmdline" 2>/dev/null || continue
        [[ ${#words[@]} -eq 3 && ${words[1]} == */lib/init && ${words[2]} == "$LAB_DIR" ]] || continue
        while read -r line; do
            [[ $line =~ ^NSpid:.*[[:space:]]1$ ]] && { echo "${p#/proc/}"; return 0; }
        done <"$p/status" 2>/dev/null
    done
    return 1
}

# wait_for SECONDS WHAT CMD...: bounded wait for a command to succeed.
wait_for() {
    local limit=$1 what=$2 end; shift 2
    end=$((SECONDS + limit))
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -ge "$end" ] && die "timed out after ${limit}s waiting for $what"
        sleep 0.1
    done
    log "$what: ok"
}
