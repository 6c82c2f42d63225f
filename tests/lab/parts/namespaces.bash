# shellcheck shell=bash
# The lab on this machine's own kernel, where that has IPVS or the command needs none.

may_make_namespaces() {
    [[ $EUID -eq 0 ]] && unshare --mount --net --pid --fork true 2>/dev/null
}

namespaces_possible() {
    [[ $EUID -eq 0 ]] || return 1
    [[ -e /proc/net/ip_vs ]] || modprobe -q ip_vs 2>/dev/null
    [[ -e /proc/net/ip_vs ]] && may_make_namespaces
}

run_in_namespaces() {
    [[ -z $ipvs ]] || namespaces_possible || fail 125 "this kernel has no IPVS, or we may not make namespaces"
    whisper "using this machine's kernel, $(uname -r)"
    # If this script dies so does unshare, and with it, being the parent of their first process, everything inside.
    setpriv --pdeathsig KILL timeout -k 2 "$limit" setpriv --pdeathsig KILL \
        unshare --mount --net --uts --ipc --pid --fork --kill-child --mount-proc \
        sh "$lab/parts/inside" namespaces "$work/job" </dev/null &
    local inside=$! status
    children+=("$inside")
    wait "$inside"
    status=$?
    [[ $status -eq 137 || $status -eq 124 ]] && say "the command did not end within $limit s"
    [[ $status -eq 137 ]] && status=124
    exit "$status"
}
