//! What the conversation of each service needs to know (spec/ldirectord.md 8.2).

use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::OnceLock;

use lvs::ipvs::{Protocol, ServiceKey};

use super::secret::Secret;
use crate::config::pattern::Pattern;

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
    /// The URL that is asked for, with the server's address or its name for SNI.
    pub url: Derived<Result<reqwest::Url, String>>,
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

impl Encryption {
    /// That which begins by a command.
    #[must_use]
    pub fn by_command(this: Option<&Self>) -> Option<&Self> {
        this.filter(|encryption| encryption.starttls)
    }
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
    /// TLS, if any.
    pub encryption: Option<Encryption>,
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

/// What follows from the fields beside it: made when it is first needed, because that takes long, and kept. It makes no
/// difference between values, and a copy makes its own.
#[derive(Debug)]
pub struct Derived<T>(OnceLock<T>);

impl<T> Derived<T> {
    /// What it is; `make` is always the same.
    pub fn get(&self, make: impl FnOnce() -> T) -> &T {
        self.0.get_or_init(make)
    }
}

impl<T> Default for Derived<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> Clone for Derived<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> PartialEq for Derived<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Derived<T> {}

impl<T> Hash for Derived<T> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
