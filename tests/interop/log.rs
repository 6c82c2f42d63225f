//! What heartbeat says about its peer.

/// What it logs at a start in namespaces whatever the peer is, by parts of the lines.
const ITS_OWN: [&str; 12] = [
    // Of our ha.cf: short times, and log files of its own.
    "Initial dead time",
    "Logging daemon is disabled",
    "logd is enabled but",
    // Of a first start.
    "No Previous generation",
    "No uuid found for current node",
    // Of the machine.
    "Core dumps could be lost",
    "Consider setting non-default value in /proc/sys/kernel/core_pattern",
    "Consider setting /proc/sys/kernel/core_uses_pid",
    "Cannot lock ourselves into memory",
    "Unable to lock",
    // One that has lost its place in the scheduler for a moment.
    "took too long to execute",
    "Dispatch function for",
];

/// Lines of heartbeat's log that complain, but for its own and those that have one of `allowed` in them.
pub fn complaints<'a>(log: &'a str, allowed: &[&str]) -> Vec<&'a str> {
    let complains = |line: &str| ["WARN", "ERROR", "CRIT"].iter().any(|word| line.contains(&format!("{word}:")));
    let known = |line: &str| ITS_OWN.iter().chain(allowed).any(|part| line.contains(part));
    log.lines().filter(|line| complains(line) && !known(line)).collect()
}
