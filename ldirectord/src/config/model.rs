//! What a configuration says, with nothing left to decide.
//!
//! Every default is applied, every name resolved, every derived value computed
//! (spec/ldirectord.md chapters 4 and 5): the rest of the program asks no question
//! that these values do not answer. Two of them are equal exactly if they ask for
//! the same thing, so a reload compares them to find what differs.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use lvs::ipvs::{Destination, Family, Protocol, Service, ServiceKey};
use zeroize::Zeroizing;

use super::pattern::Pattern;

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

/// How to find out whether a real server is up (spec chapter 8). Complete: it holds the
/// addresses, the deadlines and every word that is said.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Check {
    /// `checktype=on`: always up.
    On,
    /// `checktype=off`: never checked; up only if found in the table at start (spec 7.5).
    Off,
    /// The file asks for a check that cannot succeed, such as `connect` without any port:
    /// always down, for this reason. The administrator was warned when it was read.
    Impossible(&'static str),
    /// A TCP connection, closed at once.
    Connect(Connect),
    /// ICMP echo. Also what `checktype=connect` means for UDP.
    Ping(Ping),
    /// A conversation in the service's protocol.
    Negotiate(Negotiate),
    /// `checktype=N`: a negotiation, after its success N connects, then a negotiation again;
    /// a failed connect forces a negotiation next.
    Combined {
        /// First, and after every `connects` connects.
        negotiate: Negotiate,
        /// How many connects follow a successful negotiation.
        connects: NonZeroU32,
        /// The connect; `None` for UDP, where it succeeds without being made.
        connect: Option<Connect>,
    },
    /// `checktype=external`: a program, run without a shell.
    External(External),
    /// `checktype=external-perl`: a Perl file, run with the same arguments.
    ExternalPerl(External),
}

/// A TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Connect {
    /// The real server and the check port (spec 5.3).
    pub at: SocketAddr,
    /// The check timeout.
    pub timeout: Duration,
}

/// ICMP echo requests of 64 data bytes (0, 1, 2 ... 63); one answer is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ping {
    /// The real server.
    pub address: IpAddr,
    /// Requests until it is given up (`checkcount`).
    pub attempts: NonZeroU32,
    /// The check timeout, for each attempt.
    pub timeout: Duration,
}

/// A program that tells by its exit status; 0 is up (spec 8.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct External {
    /// The program, or the Perl file. The whole of `checkcommand`, blanks included.
    pub command: String,
    /// Virtual address or mark, its port (0 for a mark), real address, its port. IPv6 in brackets.
    pub arguments: [String; 4],
    /// The check timeout.
    pub timeout: Duration,
}

/// A conversation, and how long it may take altogether.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Negotiate {
    /// What is said.
    pub probe: Probe,
    /// The negotiate timeout.
    pub timeout: Duration,
}

/// The conversation of one service (spec 8.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Probe {
    /// `service=none`: nothing is said, always up.
    None,
    /// `http`, `https`.
    Http(Http),
    /// `http_proxy`.
    HttpProxy(HttpProxy),
    /// `smtp`, `submission`, `submissions`.
    Smtp(Smtp),
    /// `pop`, `pops`.
    Pop(Mailbox),
    /// `imap`, `imaps`.
    Imap(Mailbox),
    /// `ftp`.
    Ftp(Ftp),
    /// `nntp`.
    Nntp {
        /// Where to connect.
        at: SocketAddr,
    },
    /// `ldap`, `ldaps`.
    Ldap(Ldap),
    /// `dns`.
    Dns(Dns),
    /// `sip`.
    Sip(Sip),
    /// `radius`.
    Radius(Radius),
    /// `simpletcp`.
    SimpleTcp(SimpleTcp),
    /// `mysql`, `pgsql`, `oracle`.
    Sql(Sql),
    /// `udp`, an extension.
    Udp(Udp),
    /// `grpc`, an extension.
    Grpc(Grpc),
}

/// The transport of checks that follow the virtual's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// The transport of a service; checks of a mark service use TCP.
    #[must_use]
    pub fn of(key: &ServiceKey) -> Self {
        match key {
            ServiceKey::Address { protocol: Protocol::Udp, .. } => Self::Udp,
            ServiceKey::Address { .. } | ServiceKey::Mark { .. } => Self::Tcp,
        }
    }
}

/// Request method of HTTP checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD; its answer has no body, so a `receive` pattern never matches.
    Head,
}

impl Method {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
        }
    }
}

/// One HTTP request (spec 8.4).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Http {
    /// Over TLS.
    pub tls: bool,
    /// With TLS: the certificate has to be the server's, by an authority that the system trusts.
    pub verify: bool,
    /// Where to connect: the real server and the check port, or what an absolute URL on the
    /// real server's line names.
    pub at: SocketAddr,
    /// GET or HEAD.
    pub method: Method,
    /// Path and query; begins with `/`; as written, so not yet percent-encoded.
    pub path: String,
    /// The Host header: `virtualhost`, else the real server's address (IPv6 in brackets). No
    /// port unless `virtualhost` has one.
    pub host: String,
    /// The name for SNI, if one is known: `virtualhost` without port, else the name in an absolute URL.
    pub server_name: Option<String>,
    /// What the body has to match.
    pub receive: Option<Pattern>,
}

/// One HTTP request through a proxy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpProxy {
    /// The proxy: the real server and the check port.
    pub at: SocketAddr,
    /// GET or HEAD.
    pub method: Method,
    /// The request text, an absolute URL.
    pub url: String,
    /// What the body has to match.
    pub receive: Option<Pattern>,
}

/// TLS on a connection of a line protocol.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Encryption {
    /// It begins by a command after the greeting; otherwise with the first byte.
    pub starttls: bool,
    /// The name for SNI: `virtualhost`.
    pub name: Option<String>,
    /// The certificate has to be the server's, by an authority that the system trusts.
    pub verify: bool,
}

/// A server that takes mail.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Smtp {
    /// Where to connect.
    pub at: SocketAddr,
    /// TLS, if any.
    pub encryption: Option<Encryption>,
}

/// A mail server one may log in to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    /// Where to connect.
    pub at: SocketAddr,
    /// TLS, if any.
    pub encryption: Option<Encryption>,
    /// Name and password, if `login` is set.
    pub login: Option<Credentials>,
}

impl Mailbox {
    /// Encryption with the first byte, and by a command: one of the two at most.
    #[must_use]
    pub fn encryption(&self) -> (Option<&Encryption>, Option<&Encryption>) {
        let encryption = self.encryption.as_ref();
        (encryption.filter(|it| !it.starttls), encryption.filter(|it| it.starttls))
    }
}

/// A name and its password.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// `login`.
    pub name: String,
    /// `passwd`, possibly empty.
    pub password: Secret,
}

/// A file fetched over FTP.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ftp {
    /// Where to connect.
    pub at: SocketAddr,
    /// Who fetches; `anonymous` by default.
    pub login: Credentials,
    /// The file, with its leading `/`.
    pub path: String,
    /// What it has to match.
    pub receive: Option<Pattern>,
}

/// A search in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ldap {
    /// Where to connect.
    pub at: SocketAddr,
    /// TLS from the first byte; the certificate is not verified.
    pub tls: bool,
    /// Simple bind; anonymous unless both `login` and `passwd` are set.
    pub bind: Option<Credentials>,
    /// Search base: `request` without its leading `/`.
    pub base: String,
    /// What the entry's name has to match.
    pub receive: Option<Pattern>,
}

/// A question to a name server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dns {
    /// Where to ask.
    pub at: SocketAddr,
    /// UDP or TCP.
    pub transport: Transport,
    /// A name, or an address for a reverse look-up: `request` without its leading `/`.
    pub question: String,
    /// Domains in which a name without a dot is looked for first (resolv.conf).
    pub search: Vec<String>,
    /// What one of the answers has to match.
    pub receive: Option<Pattern>,
}

/// An OPTIONS request (spec 8.5).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sip {
    /// Where to ask.
    pub at: SocketAddr,
    /// UDP or TCP.
    pub transport: Transport,
    /// The user; `ldirectord@HOST` by default.
    pub login: String,
}

/// An Access-Request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Radius {
    /// Where to ask.
    pub at: SocketAddr,
    /// User-Name and User-Password.
    pub login: Credentials,
    /// Shared with the server.
    pub secret: Secret,
}

/// A line said, and the lines heard.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SimpleTcp {
    /// Where to connect.
    pub at: SocketAddr,
    /// TCP or UDP.
    pub transport: Transport,
    /// `request` without its leading `/`, each literal `\n` a newline.
    pub request: String,
    /// What one line has to match.
    pub receive: Option<Pattern>,
}

/// A datagram said, and a datagram heard.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Udp {
    /// Where to ask.
    pub at: SocketAddr,
    /// `request` without its leading `/`, its escapes resolved.
    pub request: Vec<u8>,
    /// What the answer has to match; without it nobody has to answer.
    pub receive: Option<Pattern>,
}

/// A question of gRPC's health check.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Grpc {
    /// Where to connect.
    pub at: SocketAddr,
    /// Whom to ask for: `virtualhost`, else the address and port.
    pub authority: String,
    /// The service: `request` without its leading `/`; empty for the whole server.
    pub service: String,
}

/// A query that has to return a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sql {
    /// Whose protocol.
    pub engine: SqlEngine,
    /// Where to connect.
    pub at: SocketAddr,
    /// Who asks; the name may be empty, and then the server counts as down.
    pub login: Credentials,
    /// `database`.
    pub database: String,
    /// `request` without its leading `/`; may be empty, and then the server counts as down.
    pub query: String,
}

/// A database server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SqlEngine {
    /// MySQL, MariaDB.
    MySql,
    /// PostgreSQL.
    Postgres,
    /// Oracle.
    Oracle,
}

/// Mail about changes of state (spec chapter 9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// `emailalert` as written: addresses, comma-separated.
    pub to: String,
    /// `emailalertfrom`, verbatim.
    pub from: Option<String>,
    /// A reminder each time this has passed while a server is down; `None` for no reminders.
    pub remind_after: Option<Duration>,
    /// In which states of the daemon mail is sent.
    pub during: AlertDuring,
    /// Relay; without one the local mail system is used.
    pub smtp: Option<String>,
}

/// States of the daemon in which mail is sent (`emailalertstatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertDuring {
    /// In the first round of checks.
    pub starting: bool,
    /// Afterwards.
    pub running: bool,
    /// While it stops.
    pub stopping: bool,
    /// In the first round after a reload.
    pub reloading: bool,
}

/// A password or shared secret: never shown, and wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself, for the wire only.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl Hash for Secret {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.reveal().hash(state);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
