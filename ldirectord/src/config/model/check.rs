//! How to find out whether a real server is up (spec/ldirectord.md chapter 8).

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use super::probe::{Dns, Ftp, Grpc, Http, HttpProxy, Ldap, Mailbox, Radius, SimpleTcp, Sip, Smtp, Sql, Udp};

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
    /// `agentport`: what an agent on the server says. No file asks for it as a server's check; it is made beside that.
    Agent(AgentCheck),
}

/// A question to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AgentCheck {
    /// The real server, and `agentport`.
    pub at: SocketAddr,
    /// For connection and answer together.
    pub timeout: Duration,
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
