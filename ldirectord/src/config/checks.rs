//! The check of each real server, complete (spec chapter 5 and 8).

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use lvs::ipvs::{Family, Forward, ServiceKey};

use super::address::RealLine;
use super::model::{
    Check, Connect, Credentials, Derived, Dns, Encryption, External, Ftp, Grpc, Http, HttpProxy, Ldap, Mailbox, Method,
    Negotiate, Ping, Probe, Radius, Secret, SimpleTcp, Sip, Smtp, Sql, SqlEngine, Transport, Udp,
};
use super::pattern::Pattern;
use super::resolve;
use super::span::Findings;
use super::surroundings::Surroundings;
use super::written::{CheckType, Once, Section, ServiceName};

/// What the checks of one virtual have in common.
pub struct Plan<'w, 'a> {
    /// The section.
    pub section: &'w Section<'a>,
    /// Its service.
    pub key: ServiceKey,
    /// `checktype`, or negotiate.
    pub check_type: CheckType,
    /// `service`, or what the port suggests.
    pub service: ServiceName,
    /// Spec 5.1.
    pub check_timeout: Duration,
    /// Spec 5.1.
    pub negotiate_timeout: Duration,
    /// Spec 5.1.
    pub check_count: NonZeroU32,
    /// This machine's name.
    pub host_name: String,
}

/// One real server of the virtual.
pub struct Server<'w, 'a> {
    /// Its line.
    pub line: &'w RealLine<'a>,
    /// Address, and port as in the kernel's table.
    pub at: SocketAddr,
    /// Port as written; 0 if it was not.
    pub configured_port: u16,
}

/// Its own request and pattern, or the section's.
struct Words<'w> {
    request: &'w str,
    receive: Option<Pattern>,
}

fn text<'w>(value: &'w Once<'_, String>) -> &'w str {
    value.as_ref().map_or("", |at| &at.value)
}

fn yes(value: &Once<'_, bool>) -> bool {
    value.as_ref().is_some_and(|at| at.value)
}

fn secret(value: &Once<'_, Secret>) -> Secret {
    value.as_ref().map_or_else(|| Secret::new(String::new()), |at| at.value.clone())
}

/// An address as URLs and external checks write it.
fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

fn without_slash(request: &str) -> &str {
    request.strip_prefix('/').unwrap_or(request)
}

impl Plan<'_, '_> {
    /// How to find out whether a server is up. A mistake in the server's own request or pattern
    /// is reported at its line.
    pub fn check(&self, server: &Server<'_, '_>, surroundings: &dyn Surroundings, findings: &mut Findings) -> Check {
        let connect = self
            .check_port(server)
            .map(|port| Connect { at: SocketAddr::new(server.at.ip(), port), timeout: self.check_timeout });
        let udp = Transport::of(&self.key) == Transport::Udp;
        match self.check_type {
            CheckType::On => Check::On,
            CheckType::Off => Check::Off,
            CheckType::Ping => Check::Ping(self.ping(server)),
            CheckType::Connect if udp => Check::Ping(self.ping(server)),
            CheckType::Connect => connect
                .map_or(Check::Impossible("checktype=connect, and no port is known to connect to"), Check::Connect),
            CheckType::External => Check::External(self.external(server)),
            CheckType::ExternalPerl => Check::ExternalPerl(self.external(server)),
            CheckType::Negotiate => match self.negotiate(server, surroundings, findings) {
                Some(negotiate) => Check::Negotiate(negotiate),
                None => Check::Impossible(NO_PORT),
            },
            CheckType::Combined(connects) => match self.negotiate(server, surroundings, findings) {
                None => Check::Impossible(NO_PORT),
                Some(negotiate) => match NonZeroU32::new(connects) {
                    None => Check::Negotiate(negotiate),
                    Some(_) if connect.is_none() && !udp => {
                        Check::Impossible("a combined check, and no port is known to connect to")
                    }
                    Some(connects) => Check::Combined { negotiate, connects, connect: connect.filter(|_| !udp) },
                },
            },
        }
    }

    /// `checkport`, else the port as written, else the service's usual one (spec 5.3). Where
    /// the original knows none of these, the port that the traffic goes to.
    fn check_port(&self, server: &Server<'_, '_>) -> Option<u16> {
        let known = |port: u16| (port > 0).then_some(port);
        let written = self.section.check_port.as_ref().map(|at| at.value.get());
        let usual = || self.service.port();
        written.or(known(server.configured_port)).or_else(usual).or(known(server.at.port()))
    }

    fn ping(&self, server: &Server<'_, '_>) -> Ping {
        Ping { address: server.at.ip(), attempts: self.check_count, timeout: self.check_timeout }
    }

    fn external(&self, server: &Server<'_, '_>) -> External {
        let command = self.section.check_command.as_ref().map_or("/bin/true", |at| &at.value);
        let (service, port) = match self.key {
            ServiceKey::Address { at, .. } => (bracketed(at.ip()), at.port()),
            ServiceKey::Mark { mark, .. } => (mark.to_string(), 0),
        };
        let real = bracketed(server.at.ip());
        External {
            command: command.to_owned(),
            arguments: [service, port.to_string(), real, server.configured_port.to_string()],
            timeout: self.check_timeout,
        }
    }

    /// The conversation; `None` if it needs a port and none is known.
    fn negotiate(
        &self,
        server: &Server<'_, '_>,
        surroundings: &dyn Surroundings,
        findings: &mut Findings,
    ) -> Option<Negotiate> {
        let probe = if self.service == ServiceName::None {
            Probe::None
        } else {
            let at = SocketAddr::new(server.at.ip(), self.check_port(server)?);
            self.probe(server, at, self.words(server), surroundings, findings)
        };
        Some(Negotiate { probe, timeout: self.negotiate_timeout })
    }

    fn words<'w>(&'w self, server: &Server<'w, '_>) -> Words<'w> {
        if let Some((request, receive)) = &server.line.probe {
            return Words { request: request.text(), receive: receive.clone() };
        }
        let receive = self.section.receive.as_ref().map(|at| at.value.clone());
        Words { request: text(&self.section.request), receive: receive.filter(|pattern| !pattern.as_str().is_empty()) }
    }

    fn probe(
        &self,
        server: &Server<'_, '_>,
        at: SocketAddr,
        words: Words<'_>,
        surroundings: &dyn Surroundings,
        findings: &mut Findings,
    ) -> Probe {
        let Words { request, receive } = words;
        let transport = Transport::of(&self.key);
        let unslashed = without_slash(request).to_owned();
        let login = self.login();
        match self.service {
            ServiceName::None => Probe::None,
            ServiceName::Http | ServiceName::Https => {
                Probe::Http(self.http(server, at, Words { request, receive }, surroundings, findings))
            }
            ServiceName::HttpProxy => {
                let method = self.method();
                Probe::HttpProxy(HttpProxy { at, method, url: unslashed, receive })
            }
            ServiceName::Smtp | ServiceName::Submission | ServiceName::Submissions => {
                Probe::Smtp(Smtp { at, encryption: self.encryption() })
            }
            ServiceName::Pop | ServiceName::Pops => Probe::Pop(self.mailbox(at, login)),
            ServiceName::Imap | ServiceName::Imaps => Probe::Imap(self.mailbox(at, login)),
            ServiceName::Ftp => Probe::Ftp(Ftp { at, login: self.ftp_login(login), path: slashed(request), receive }),
            ServiceName::Nntp => Probe::Nntp { at },
            ServiceName::Ldap | ServiceName::Ldaps => Probe::Ldap(self.ldap(at, login, unslashed, receive)),
            ServiceName::Dns => {
                let search = if unslashed.contains('.') { Vec::new() } else { surroundings.search_domains() };
                Probe::Dns(Dns { at, transport, question: unslashed, search, receive })
            }
            ServiceName::Sip => {
                let name = if login.name.is_empty() { self.own_address() } else { login.name };
                Probe::Sip(Sip { at, transport, login: name })
            }
            ServiceName::Radius => Probe::Radius(Radius { at, login, secret: secret(&self.section.secret) }),
            ServiceName::SimpleTcp => {
                let request = unslashed.replace("\\n", "\n");
                Probe::SimpleTcp(SimpleTcp { at, transport, request, receive })
            }
            ServiceName::Grpc => {
                let name = self.section.virtual_host.as_ref().map(|host| host.value.clone());
                Probe::Grpc(Grpc { at, authority: name.unwrap_or_else(|| at.to_string()), service: unslashed })
            }
            ServiceName::Udp => Probe::Udp(Udp { at, request: unescaped(&unslashed), receive }),
            ServiceName::MySql => Probe::Sql(self.sql(SqlEngine::MySql, at, login, unslashed)),
            ServiceName::Postgres => Probe::Sql(self.sql(SqlEngine::Postgres, at, login, unslashed)),
            ServiceName::Oracle => Probe::Sql(self.sql(SqlEngine::Oracle, at, login, unslashed)),
        }
    }

    fn login(&self) -> Credentials {
        Credentials { name: text(&self.section.login).to_owned(), password: secret(&self.section.password) }
    }

    /// FTP's own defaults, also where the port made it FTP (B28).
    fn ftp_login(&self, login: Credentials) -> Credentials {
        let Credentials { name, password } = login;
        let name = if name.is_empty() { "anonymous".to_owned() } else { name };
        let password = if password.reveal().is_empty() { Secret::new(self.own_address()) } else { password };
        Credentials { name, password }
    }

    fn own_address(&self) -> String {
        format!("ldirectord@{}", self.host_name)
    }

    fn encryption(&self) -> Option<Encryption> {
        let at_once = self.service.is_encrypted();
        let starttls = !at_once && yes(&self.section.starttls);
        let name = self.section.virtual_host.as_ref().and_then(|host| name_of(&host.value));
        (at_once || starttls).then(|| Encryption { starttls, name, verify: yes(&self.section.verify) })
    }

    fn mailbox(&self, at: SocketAddr, login: Credentials) -> Mailbox {
        let login = Some(login).filter(|login| !login.name.is_empty());
        Mailbox { at, encryption: self.encryption(), login }
    }

    /// Whoever gives no password binds as nobody.
    fn ldap(&self, at: SocketAddr, login: Credentials, base: String, receive: Option<Pattern>) -> Ldap {
        let both = !login.name.is_empty() && !login.password.reveal().is_empty();
        Ldap { at, encryption: self.encryption(), bind: both.then_some(login), base, receive }
    }

    fn method(&self) -> Method {
        self.section.method.as_ref().map_or(Method::Get, |at| at.value)
    }

    fn sql(&self, engine: SqlEngine, at: SocketAddr, login: Credentials, query: String) -> Sql {
        Sql { engine, at, login, database: text(&self.section.database).to_owned(), query }
    }

    /// An absolute URL on the real server's line names another place to connect to (spec 4.2).
    fn http(
        &self,
        server: &Server<'_, '_>,
        at: SocketAddr,
        words: Words<'_>,
        surroundings: &dyn Surroundings,
        findings: &mut Findings,
    ) -> Http {
        let tls = self.service == ServiceName::Https;
        let virtual_host = self.section.virtual_host.as_ref().map(|host| host.value.clone());
        let mut http = Http {
            tls,
            verify: yes(&self.section.verify),
            at,
            method: self.method(),
            path: slashed(words.request),
            server_name: virtual_host.as_deref().and_then(name_of),
            host: virtual_host.unwrap_or_else(|| bracketed(server.at.ip())),
            receive: words.receive,
            url: Derived::default(),
        };
        let scheme = if tls { "https://" } else { "http://" };
        let absolute = server.line.probe.as_ref().and_then(|(request, _)| {
            let url = without_slash(request.text());
            url.strip_prefix(scheme).map(|rest| (*request, rest))
        });
        if let Some((request, rest)) = absolute {
            let family = Family::of(server.at.ip());
            match authority(rest, if tls { 443 } else { 80 }, |name| resolve::host(name, family, surroundings)) {
                Some((name, at, path)) => {
                    http.at = at;
                    http.path = path;
                    http.server_name = http.server_name.or_else(|| name_of(name));
                }
                None => findings.error_with_help(
                    request,
                    "invalid URL in the request of a real server",
                    "the host must be an address, or a name that has one here",
                ),
            }
        }
        http
    }

    /// The name of the check in monitor files (spec 5.4).
    pub fn identity(&self, server: &Server<'_, '_>) -> String {
        let section = self.section;
        let kind = match self.check_type {
            kind @ (CheckType::Negotiate | CheckType::Combined(_)) => {
                format!("{}:{}", kind.name(), self.service.name())
            }
            kind @ (CheckType::External | CheckType::ExternalPerl) => {
                format!("{}:{}", kind.name(), section.check_command.as_ref().map_or("/bin/true", |at| &at.value))
            }
            kind => kind.name().to_owned(),
        };
        let protocol = match self.key {
            ServiceKey::Address { protocol, .. } => protocol.to_string(),
            ServiceKey::Mark { .. } => "fwm".to_owned(),
        };
        let (request, receive) = match &server.line.probe {
            Some((request, receive)) => (slashed(request.text()), receive.as_ref().map_or("", Pattern::as_str)),
            None => {
                let request = section.request.as_ref().map_or_else(String::new, |at| slashed(&at.value));
                (request, section.receive.as_ref().map_or("", |at| at.value.as_str()))
            }
        };
        let method = match server.line.forward {
            Forward::Gate => "gate",
            Forward::Tunnel(_) => "ipip",
            _ => "masq",
        };
        let check_port = section.check_port.as_ref().map_or_else(String::new, |at| at.value.to_string());
        format!(
            "{kind}:{protocol}:{}:{}:{}:{check_port}:{}:{method}:{}:{}",
            bracketed(server.at.ip()),
            server.configured_port,
            text(&section.virtual_host),
            server.line.weight_as_written,
            escaped(&request),
            escaped(receive),
        )
    }
}

const NO_PORT: &str = "a negotiation, and no port is known to connect to";

fn slashed(request: &str) -> String {
    if request.starts_with('/') { request.to_owned() } else { format!("/{request}") }
}

/// `\n`, `\r`, `\t`, `\\` and `\xHH`; a backslash before anything else stands for itself.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let (meant, length) = match (byte, after) {
            (b'\\', [b'n', ..]) => (b'\n', 1),
            (b'\\', [b'r', ..]) => (b'\r', 1),
            (b'\\', [b't', ..]) => (b'\t', 1),
            (b'\\', [b'\\', ..]) => (b'\\', 1),
            (b'\\', [b'x', high, low, ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 3),
                _ => (byte, 0),
            },
            _ => (byte, 0),
        };
        bytes.push(meant);
        rest = &rest[length..];
    }
    bytes
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// The host of a Host header or URL, if it is a name: addresses have no place in SNI.
fn name_of(host: &str) -> Option<String> {
    let name = if host.starts_with('[') { host } else { host.split(':').next().unwrap_or_default() };
    let address = name.starts_with('[') || name.parse::<IpAddr>().is_ok() || name.is_empty();
    (!address).then(|| name.to_owned())
}

/// `HOST[:PORT][/PATH]`: the host, where it is, and the path.
fn authority(
    text: &str,
    usual_port: u16,
    look_up: impl Fn(&str) -> Option<IpAddr>,
) -> Option<(&str, SocketAddr, String)> {
    let (authority, path) = text.split_at(text.find('/').unwrap_or(text.len()));
    let (host, port) = match authority.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((address, rest)) => (address, rest.strip_prefix(':')),
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Some(usual_port), |port| port.parse().ok())?;
    Some((host, SocketAddr::new(look_up(host)?, port), slashed(path)))
}

/// A backslash before everything that is not a letter, a digit or an underscore.
fn escaped(text: &str) -> String {
    let escape = |c: char| if c.is_ascii_alphanumeric() || c == '_' { vec![c] } else { vec!['\\', c] };
    text.chars().flat_map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn datagrams_are_written_with_escapes() {
        assert_eq!(unescaped(r"a\n\r\t\\n\x00\xfF\q\xg0\x1"), b"a\n\r\t\\n\x00\xff\\q\\xg0\\x1");
        assert_eq!(unescaped("\\"), b"\\");
    }
}
