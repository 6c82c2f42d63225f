//! What a configuration says, with nothing left to decide.
//!
//! Every default is applied, every name resolved, every derived value computed
//! (spec/ldirectord.md chapters 4 and 5): the rest of the program asks no question
//! that these values do not answer. Two of them are equal exactly if they ask for
//! the same thing, so a reload compares them to find what differs.

mod alert;
mod check;
mod probe;
mod secret;

use std::fmt;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

use lvs::ipvs::{Destination, Family, Service, ServiceKey};

pub use alert::{Alert, AlertDuring};
pub use check::{AgentCheck, Check, Connect, External, Negotiate, Ping, Probe};
pub use probe::{
    Credentials, Derived, Dns, Encryption, Ftp, Grpc, Http, HttpProxy, Ldap, Mailbox, Method, Radius, SimpleTcp, Sip,
    Smtp, Sql, SqlEngine, Transport, Udp,
};
pub use secret::Secret;

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What holds for the whole instance.
    pub globals: Globals,
    /// The virtual services in the file's order; their keys differ.
    pub virtuals: Vec<Virtual>,
}

/// What holds for the whole instance (spec 3.1). Settings that a section may override
/// are in [`Virtual`], already merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Globals {
    /// Pause between two rounds of checks.
    pub check_interval: Duration,
    /// Where log lines go.
    pub log: LogTarget,
    /// The original's way to check virtuals in parallel. Ours always does.
    pub fork: bool,
    /// Stay in the foreground and log to standard output.
    pub supervised: bool,
    /// A server that is down and missing from the table is added with weight 0.
    /// Matters only where [`Virtual::quiescent`].
    pub readd_quiescent: bool,
    /// Read the file again when it changes.
    pub auto_reload: bool,
    /// Run with the file's path after it has changed.
    pub callback: Option<String>,
    /// Other configurations whose instances start and stop with this one.
    pub execute: Vec<String>,
    /// Files in it take real servers out of service (spec 7.5).
    pub maintenance_directory: Option<PathBuf>,
}

/// Where log lines go (spec 10.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// A file, opened and closed for every line. Absolute.
    File(PathBuf),
    /// The system log, with this facility: `local0`.
    Facility(String),
}

/// A virtual service: how it schedules, what serves it, and how that is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Virtual {
    /// What identifies it to the kernel.
    pub key: ServiceKey,
    /// Scheduler, flags, persistence, one-packet scheduling.
    pub service: Service,
    /// Pause between two rounds of checks of this virtual's servers.
    pub check_interval: Duration,
    /// Failed checks in a row until a server counts as down.
    pub failure_count: NonZeroU32,
    /// A server that goes down stays in the table with weight 0; otherwise it is deleted.
    pub quiescent: bool,
    /// At stop the service is removed from the table.
    pub clean_stop: bool,
    /// Serves while no real server is up.
    pub fallback: Option<Fallback>,
    /// Shell command, run with `start`/`stop`, address and protocol as the last server goes
    /// down or the first comes up (spec 7.1).
    pub fallback_command: Option<String>,
    /// Mail about changes of state.
    pub alert: Option<Alert>,
    /// One line per check result is appended to it (spec 11).
    pub monitor_file: Option<PathBuf>,
    /// Named in mails.
    pub service_name: Option<String>,
    /// Quoted in mails.
    pub comment: Option<String>,
    /// The real servers in the file's order, ranges spelled out; their `at` differ.
    pub reals: Vec<Real>,
    /// What the original does not have.
    pub extensions: Extensions,
    /// The `virtual` line, from 1. Not part of what the file means; for messages.
    pub line: Line,
}

/// What a virtual may ask for beyond the original; nothing of it is on unless it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    /// `rise`: good checks in a row until a server that went down is up again; 1 without.
    pub rise: Option<NonZeroU32>,
    /// `jitter`: by how much of the interval checks are moved at random, per cent, at most 50.
    pub jitter: u32,
    /// `slowstart`: how long a server that comes back takes to its full weight.
    pub slow_start: Option<Duration>,
    /// `notify`: a shell command that reads each change of state as JSON.
    pub notify: Option<String>,
    /// `stopfallback`: the fallback command is told `stop` when the program stops.
    pub stop_fallback: bool,
    /// `agentport`: an agent on each real server is asked as well.
    pub agent: Option<Agent>,
    /// `draintimeout`: how long a server that leaves the table may keep its connections.
    pub drain_timeout: Option<Duration>,
}

/// How agents are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agent {
    /// `agentport`: on every real server of the section.
    pub port: NonZeroU16,
    /// `agentinterval`: pause between two questions, from start to start; 2 seconds without.
    pub interval: Duration,
    /// For one answer: the interval, at most the check timeout.
    pub timeout: Duration,
}

impl Agent {
    /// The question to the agent of a server.
    #[must_use]
    pub fn check(&self, real: &Real) -> Check {
        Check::Agent(AgentCheck { at: SocketAddr::new(real.at.ip(), self.port.get()), timeout: self.timeout })
    }
}

impl Virtual {
    /// `tcp:198.51.100.1:80`, `udp:[2001:db8::1]:53`, `fwm:7`, `fwm6:7` (spec 5.4).
    #[must_use]
    pub fn id(&self) -> String {
        match self.key {
            ServiceKey::Address { protocol, at } => format!("{protocol}:{at}"),
            ServiceKey::Mark { family: Family::Inet, mark } => format!("fwm:{mark}"),
            ServiceKey::Mark { family: Family::Inet6, mark } => format!("fwm6:{mark}"),
        }
    }

    /// As log lines name it (spec 10.2): `198.51.100.1:80`, or the mark without its family.
    #[must_use]
    pub fn name(&self) -> String {
        match self.key {
            ServiceKey::Address { at, .. } => at.to_string(),
            ServiceKey::Mark { mark, .. } => mark.to_string(),
        }
    }
}

/// A real server of one virtual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Real {
    /// Address and port in the kernel's table. With direct routing and tunnels under an
    /// address service the port is the virtual's, whatever was written (spec 6, port mapping).
    pub at: SocketAddr,
    /// The port as written; 0 if none was.
    pub configured_port: u16,
    /// Forwarding method, weight and thresholds while it is up.
    pub destination: Destination,
    /// The weight as written, for log lines: `007`.
    pub weight_as_written: String,
    /// How to find out whether it is up. Equal checks, in whatever virtual, need to be made
    /// once for all (spec 5.4).
    pub check: Check,
    /// The name of the check in monitor files (spec 5.4): `TYPE:PROTO:RIP:RPORT:...`.
    pub check_identity: String,
    /// Its line, from 1. Not part of what the file means; for messages.
    pub line: Line,
}

impl Real {
    /// As log lines name it: address and port as written.
    #[must_use]
    pub fn name(&self) -> String {
        SocketAddr::new(self.at.ip(), self.configured_port).to_string()
    }
}

/// The server of last resort. Its weight is 1, it has no thresholds, nobody checks it,
/// and it is never made quiescent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fallback {
    /// Address and port in the kernel's table, mapped as [`Real::at`].
    pub at: SocketAddr,
    /// The port as written, or the virtual's if none was.
    pub configured_port: u16,
    /// Forwarding method, and weight 1.
    pub destination: Destination,
}

impl Fallback {
    /// As log lines name it: address and port as written.
    #[must_use]
    pub fn name(&self) -> String {
        SocketAddr::new(self.at.ip(), self.configured_port).to_string()
    }
}

/// A place in the file. All places are equal, so that a server that only moved within the
/// file is still the same server.
#[derive(Debug, Clone, Copy)]
pub struct Line(pub usize);

impl PartialEq for Line {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Line {}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
