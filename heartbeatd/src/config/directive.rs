//! Every directive of ha.cf and what becomes of it: the one place to look that up.

use lvs::diag::nearest;

use super::medium::Kind;

/// What is done with a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// As heartbeat does it.
    Done,
    /// Accepted without effect, with a warning that gives the reason.
    Ignored(&'static str),
    /// Refused, because the pair would not be as safe, or not do, what the file says: why, and what to do instead.
    Refused(&'static str, &'static str),
}

/// How the rest of its line is read (spec 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// One value; of several the last counts.
    Value,
    /// Any number of values, split at blanks and commas.
    Values,
    /// Words split at blanks only.
    Line,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Directive {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    pub(super) standing: Standing,
}

const fn row(name: &'static str, takes: Takes, standing: Standing) -> Directive {
    Directive { name, takes, standing }
}

const LOG: &str = "everything goes to the system log";
const CRM: &str = "it belongs to Pacemaker";
/// Why `apiauth` does nothing for any program but ipfail, which is built in.
pub(super) const API: &str =
    "there is no client socket of heartbeat's; whoever is of the group haclient may use heartbeatd's own";
const MEMORY: &str = "memory is locked as it is needed, none is set aside";
const PRIORITY: &str =
    "the priority is as the service's unit or init script gives it, by chrt: the lowest real-time one";
const COMPRESS: &str = "messages between two nodes are too small to be compressed";

use Standing::{Done, Ignored, Refused};
use Takes::{Line, Value, Values};

/// All legal names of heartbeat 3.0.6 as Debian ships it (spec 1.3), and hbaping.
pub(super) const DIRECTIVES: &[Directive] = &[
    row("keepalive", Value, Done),
    row("deadtime", Value, Done),
    row("warntime", Value, Done),
    row("initdead", Value, Done),
    row("deadping", Value, Done),
    row("node", Values, Done),
    row("udpport", Value, Done),
    row("baud", Value, Done),
    row("bcast", Values, Done),
    row("udp", Values, Done),
    row("mcast", Line, Done),
    row("mcast6", Line, Done),
    row("ucast", Line, Done),
    row("ucast6", Line, Done),
    row("serial", Values, Done),
    row("ping", Values, Done),
    row("ping6", Values, Done),
    row("ping_group", Line, Done),
    row(
        "hbaping",
        Values,
        Refused("pinging over fibre channel is not available", "\"ping ADDRESS\" asks a host over IP"),
    ),
    row("auto_failback", Value, Done),
    row("nice_failback", Value, Done),
    row("hopfudge", Value, Done),
    row("watchdog", Value, Done),
    row("respawn", Line, Done),
    row("failfast", Line, Done),
    row("apiauth", Line, Done),
    row("stonith", Line, Done),
    row("stonith_host", Line, Done),
    row("logfile", Value, Ignored(LOG)),
    row("debugfile", Value, Ignored(LOG)),
    row("logfacility", Value, Done),
    row("use_logd", Value, Ignored(LOG)),
    row("conn_logd_time", Value, Ignored(LOG)),
    row("syslogmsgfmt", Value, Ignored(LOG)),
    row("log_badpack", Value, Ignored("refused packets are counted, and told once a minute at most")),
    row("debug", Value, Done),
    row("coredumps", Value, Ignored("core dumps are as the service's limits say")),
    row("coreroot", Value, Ignored("core dumps are as the service's limits say")),
    row("realtime", Value, Ignored(PRIORITY)),
    row("rtprio", Value, Ignored(PRIORITY)),
    row("memreserve", Value, Ignored(MEMORY)),
    row("msgfmt", Value, Done),
    row("compression", Value, Ignored(COMPRESS)),
    row("compression_threshold", Value, Ignored(COMPRESS)),
    row("traditional_compression", Value, Ignored(COMPRESS)),
    row("max_rexmit_delay", Value, Done),
    row("hbgenmethod", Value, Done),
    row("uuidfrom", Value, Done),
    row("autojoin", Value, Done),
    row("cluster", Value, Ignored("the name is not sent")),
    row("crm", Value, Done),
    row("pacemaker", Value, Done),
    row("quorum_server", Value, Ignored(CRM)),
    row("crm_daemon_dir", Value, Ignored(CRM)),
    row("crmd_spawns_pengine", Value, Ignored(CRM)),
    row("record_config_changes", Value, Ignored(CRM)),
    row("record_pengine_inputs", Value, Ignored(CRM)),
    row("enable_config_writes", Value, Ignored(CRM)),
    row("use_apphbd", Value, Ignored("there is no apphbd")),
    row("env", Values, Done),
];

/// The directive of that name; names are case-sensitive.
pub(super) fn find(name: &str) -> Option<&'static Directive> {
    DIRECTIVES.iter().find(|directive| directive.name == name)
}

/// What to say of a line that begins with no directive, and what to write instead. What follows a `=` may be the
/// password of a device, in a line that was meant to go on, and is not repeated.
pub(super) fn unknown(word: &str) -> (String, String) {
    let name = word.split('=').next().unwrap_or_default();
    if name != word && find(name).is_some() {
        return (format!("unknown directive \"{name}=\""), "write a blank instead of =".into());
    }
    let lower = name.to_lowercase();
    let help = match nearest(&lower, DIRECTIVES.iter().map(|directive| directive.name)) {
        Some(near) if near == lower => format!("did you mean {near:?}? Names are in lower case"),
        Some(near) => format!("did you mean {near:?}?"),
        None if matches!(name, "tipc" | "rds" | "openais") => format!("the media are {}", media().join(", ")),
        None => "heartbeatd(8) has all of them".into(),
    };
    (format!("unknown directive {name:?}"), help)
}

fn media() -> Vec<&'static str> {
    let directives = DIRECTIVES.iter().filter(|directive| matches!(directive.standing, Done));
    directives.map(|directive| directive.name).filter(|name| *name != "udp" && Kind::of(name).is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_directive_stands_in_the_table_twice() {
        for (at, directive) in DIRECTIVES.iter().enumerate() {
            assert!(DIRECTIVES[..at].iter().all(|other| other.name != directive.name), "{}", directive.name);
        }
    }
}
