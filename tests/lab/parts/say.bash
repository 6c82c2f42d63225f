# shellcheck shell=bash
# How the lab speaks: to standard error, one sentence, with its name before it.

say() { echo "lab: $*" >&2; }

# Heard only with LAB_VERBOSE=1.
whisper() { if [[ -n ${LAB_VERBOSE-} ]]; then say "$@"; fi; }

# fail STATUS SENTENCE...
fail() {
    local status=$1
    shift
    say "$@"
    exit "$status"
}
