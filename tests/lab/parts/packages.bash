# shellcheck shell=bash
# Programs the lab needs: installed with apt where we are root, else asked for in one sentence.

# apt runs one at a time on this machine; a second lab waits instead of failing.
apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o APT::Sandbox::User=root "$@"; }

# need PROGRAM:PACKAGE...
need() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    [[ ${#missing[@]} -gt 0 ]] || return 0
    if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
        fail 69 "these packages are missing and only root can install them: ${missing[*]} (apt-get install ${missing[*]})"
    fi
    say "installing ${missing[*]}"
    install_quietly "${missing[@]}"
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || fail 69 "cannot install the package ${pair#*:}, which has ${pair%%:*}"
    done
}

# Without starting the services that some packages (nginx, rsyslog) bring: the stories start their own.
install_quietly() {
    local policy=/usr/sbin/policy-rc.d log
    log=$(mktemp /tmp/lvs-lab-apt.XXXXXX)
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
    else
        policy=
    fi
    if ! apt install -y --no-install-recommends "$@" >"$log" 2>&1; then
        # Perhaps there is no index yet, or an old one.
        { apt update && apt install -y --no-install-recommends "$@"; } >"$log" 2>&1 || cat "$log" >&2
    fi
    rm -f -- ${policy:+"$policy"} "$log"
}
