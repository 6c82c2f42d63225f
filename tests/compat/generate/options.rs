//! The options of ipvsadm, as they are written.

/// What an option takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    Service,
    Mark,
    Server,
    Scheduler,
    Seconds,
    Mask,
    Engine,
    Flags,
    Number,
    Tunnel,
    Interface,
    Group,
    Role,
}

/// How an option is written, with and without its long name.
pub type Spelling = (&'static str, &'static str, Takes);

pub const ADD: Spelling = ("A", "add-service", Takes::Nothing);
pub const EDIT: Spelling = ("E", "edit-service", Takes::Nothing);
pub const DELETE: Spelling = ("D", "delete-service", Takes::Nothing);
pub const CLEAR: Spelling = ("C", "clear", Takes::Nothing);
pub const LIST: Spelling = ("L", "list", Takes::Nothing);
pub const LIST_TOO: Spelling = ("l", "list", Takes::Nothing);
pub const ZERO: Spelling = ("Z", "zero", Takes::Nothing);
pub const ADD_SERVER: Spelling = ("a", "add-server", Takes::Nothing);
pub const EDIT_SERVER: Spelling = ("e", "edit-server", Takes::Nothing);
pub const DELETE_SERVER: Spelling = ("d", "delete-server", Takes::Nothing);
pub const SAVE: Spelling = ("S", "save", Takes::Nothing);
pub const RESTORE: Spelling = ("R", "restore", Takes::Nothing);
pub const SET: Spelling = ("", "set", Takes::Nothing);
pub const START: Spelling = ("", "start-daemon", Takes::Role);
pub const STOP: Spelling = ("", "stop-daemon", Takes::Role);
pub const HELP: Spelling = ("h", "help", Takes::Nothing);
pub const VERSION: Spelling = ("v", "version", Takes::Nothing);

pub const SERVER: Spelling = ("r", "real-server", Takes::Server);
pub const NUMERIC: Spelling = ("n", "numeric", Takes::Nothing);
pub const IPIP: Spelling = ("i", "ipip", Takes::Nothing);
pub const SIX: Spelling = ("6", "ipv6", Takes::Nothing);
pub const SERVICES: [Spelling; 4] = [
    ("t", "tcp-service", Takes::Service),
    ("u", "udp-service", Takes::Service),
    ("", "sctp-service", Takes::Service),
    ("f", "fwmark-service", Takes::Mark),
];
pub const OF_SERVICES: [Spelling; 6] = [
    ("s", "scheduler", Takes::Scheduler),
    ("p", "persistent", Takes::Seconds),
    ("M", "netmask", Takes::Mask),
    ("", "pe", Takes::Engine),
    ("o", "ops", Takes::Nothing),
    ("b", "sched-flags", Takes::Flags),
];
pub const METHODS: [Spelling; 3] = [("g", "gatewaying", Takes::Nothing), IPIP, ("m", "masquerading", Takes::Nothing)];
pub const OF_SERVERS: [Spelling; 3] =
    [("w", "weight", Takes::Number), ("x", "u-threshold", Takes::Number), ("y", "l-threshold", Takes::Number)];
pub const OF_TUNNELS: [Spelling; 5] = [
    ("", "tun-type", Takes::Tunnel),
    ("", "tun-port", Takes::Number),
    ("", "tun-nocsum", Takes::Nothing),
    ("", "tun-csum", Takes::Nothing),
    ("", "tun-remcsum", Takes::Nothing),
];
pub const OF_LISTINGS: [Spelling; 13] = [
    ("c", "connection", Takes::Nothing),
    NUMERIC,
    ("", "timeout", Takes::Nothing),
    ("", "daemon", Takes::Nothing),
    ("", "stats", Takes::Nothing),
    ("", "rate", Takes::Nothing),
    ("", "thresholds", Takes::Nothing),
    ("", "persistent-conn", Takes::Nothing),
    ("", "tun-info", Takes::Nothing),
    ("", "nosort", Takes::Nothing),
    ("", "sort", Takes::Nothing),
    ("X", "exact", Takes::Nothing),
    ("", "syncid", Takes::Number),
];
pub const OF_DAEMONS: [Spelling; 6] = [
    ("", "mcast-interface", Takes::Interface),
    ("", "syncid", Takes::Number),
    ("", "sync-maxlen", Takes::Number),
    ("", "mcast-group", Takes::Group),
    ("", "mcast-port", Takes::Number),
    ("", "mcast-ttl", Takes::Number),
];
