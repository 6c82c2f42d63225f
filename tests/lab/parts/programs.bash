# shellcheck shell=bash
# The programs that are put to the test.

# Sets and exports LAB_BIN, their directory: as given (target/release for what is shipped), else those that cargo's tests
# have built already, because the release profile takes minutes more.
programs() {
    if [[ -z ${LAB_BIN-} ]]; then
        # With a test among them the crates have the features that they had for cargo test, and are not compiled again.
        cargo build --quiet --locked --workspace --bins --test stories || return
        LAB_BIN=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/debug
    fi
    LAB_BIN=$(cd -- "$LAB_BIN" && pwd -P) || return
    export LAB_BIN
}
