//! Second step: the file as it is written. Values have their types and are known to be
//! well-formed one by one; no name is looked up, no default applied, and nothing is
//! known yet about how they fit together.

use std::net::Ipv4Addr;
use std::num::{NonZeroU8, NonZeroU16, NonZeroU32};
use std::path::PathBuf;

use lvs::ipvs::{Family, Netmask, Scheduler};

use super::address::{FallbackLine, RealLine, VirtualAddress};
use super::model::{AlertDuring, LogTarget, Method, Secret};
use super::pattern::Pattern;
use super::span::{At, Span};

/// A directive that may be given once; of several the last counts.
pub type Once<'a, T> = Option<At<'a, T>>;

/// A file.
#[derive(Debug, Default)]
pub struct Written<'a> {
    /// Global directives.
    pub globals: Globals<'a>,
    /// Sections, in order.
    pub sections: Vec<Section<'a>>,
}

/// Directives that may stand outside and within sections.
#[derive(Debug, Default)]
pub struct Shared<'a> {
    pub check_timeout: Once<'a, NonZeroU32>,
    pub negotiate_timeout: Once<'a, NonZeroU32>,
    pub check_interval: Once<'a, NonZeroU32>,
    pub check_count: Once<'a, NonZeroU32>,
    pub failure_count: Once<'a, NonZeroU32>,
    pub fallback: Once<'a, FallbackLine<'a>>,
    pub fallback_command: Once<'a, String>,
    pub quiescent: Once<'a, bool>,
    pub clean_stop: Once<'a, bool>,
    pub email_alert: Once<'a, String>,
    pub email_alert_frequency: Once<'a, u32>,
    pub email_alert_status: Once<'a, AlertDuring>,
    pub smtp: Once<'a, String>,
}

/// Directives outside sections.
#[derive(Debug, Default)]
pub struct Globals<'a> {
    pub shared: Shared<'a>,
    /// `fallback6`; `shared` holds `fallback`.
    pub fallback6: Once<'a, FallbackLine<'a>>,
    pub auto_reload: Once<'a, bool>,
    pub callback: Once<'a, String>,
    pub log: Once<'a, LogTarget>,
    pub execute: Vec<At<'a, String>>,
    pub supervised: Once<'a, bool>,
    pub fork: Once<'a, bool>,
    pub readd_quiescent: Once<'a, bool>,
    pub email_alert_from: Once<'a, String>,
    pub maintenance_directory: Once<'a, PathBuf>,
}

/// A section. Its `shared.fallback` is of the section's own family.
#[derive(Debug)]
pub struct Section<'a> {
    /// The value of the `virtual` line.
    pub header: Span<'a>,
    /// Of `virtual` or `virtual6`.
    pub family: Family,
    /// `None` if it was a mistake, which has been reported.
    pub address: Option<VirtualAddress<'a>>,
    /// The line that ended the section.
    pub closed_by: Span<'a>,
    pub shared: Shared<'a>,
    pub reals: Vec<At<'a, RealLine<'a>>>,
    pub check_type: Once<'a, CheckType>,
    pub service: Once<'a, ServiceName>,
    pub check_command: Once<'a, String>,
    pub check_port: Once<'a, NonZeroU16>,
    pub request: Once<'a, String>,
    pub receive: Once<'a, Pattern>,
    pub method: Once<'a, Method>,
    pub virtual_host: Once<'a, String>,
    /// Ours: TLS by a command (`starttls=yes`), certificates verified (`verify=yes`).
    pub starttls: Once<'a, bool>,
    pub verify: Once<'a, bool>,
    pub login: Once<'a, String>,
    pub password: Once<'a, Secret>,
    pub database: Once<'a, String>,
    pub secret: Once<'a, Secret>,
    pub scheduler: Once<'a, Scheduler>,
    pub scheduler_flags: Once<'a, String>,
    pub persistent: Once<'a, u32>,
    pub netmask: Once<'a, Netmask>,
    pub protocol: Once<'a, ProtocolName>,
    pub one_packet: Once<'a, bool>,
    pub monitor_file: Once<'a, PathBuf>,
    pub service_name: Once<'a, String>,
    pub comment: Once<'a, String>,
    pub rise: Once<'a, NonZeroU32>,
    pub fall: Once<'a, NonZeroU32>,
    pub jitter: Once<'a, u32>,
    pub slow_start: Once<'a, u32>,
    pub notify: Once<'a, String>,
    pub stop_fallback: Once<'a, bool>,
    pub agent_port: Once<'a, NonZeroU16>,
    pub agent_interval: Once<'a, NonZeroU32>,
    pub drain_timeout: Once<'a, u32>,
}

impl<'a> Section<'a> {
    /// A section with nothing in it.
    pub fn new(header: Span<'a>, family: Family, address: Option<VirtualAddress<'a>>) -> Self {
        Self {
            header,
            family,
            address,
            closed_by: header,
            shared: Shared::default(),
            reals: Vec::new(),
            check_type: None,
            service: None,
            check_command: None,
            check_port: None,
            request: None,
            receive: None,
            method: None,
            virtual_host: None,
            starttls: None,
            verify: None,
            login: None,
            password: None,
            database: None,
            secret: None,
            scheduler: None,
            scheduler_flags: None,
            persistent: None,
            netmask: None,
            protocol: None,
            one_packet: None,
            monitor_file: None,
            service_name: None,
            comment: None,
            rise: None,
            fall: None,
            jitter: None,
            slow_start: None,
            notify: None,
            stop_fallback: None,
            agent_port: None,
            agent_interval: None,
            drain_timeout: None,
        }
    }
}

/// `protocol=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolName {
    Tcp,
    Udp,
    Fwm,
}

/// `checktype=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckType {
    Connect,
    Negotiate,
    Ping,
    On,
    Off,
    External,
    ExternalPerl,
    /// A number: one negotiation, then so many connects.
    Combined(u32),
}

impl CheckType {
    const NAMED: [Self; 7] =
        [Self::Connect, Self::Negotiate, Self::Ping, Self::On, Self::Off, Self::External, Self::ExternalPerl];

    /// The words a file may use, but for a number.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::NAMED.into_iter().map(Self::name)
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMED.into_iter().find(|kind| kind.name() == name)
    }

    /// The word in files and check identities.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Negotiate => "negotiate",
            Self::Ping => "ping",
            Self::On => "on",
            Self::Off => "off",
            Self::External => "external",
            Self::ExternalPerl => "external-perl",
            Self::Combined(_) => "combined",
        }
    }
}

macro_rules! services {
    ($($variant:ident $name:literal $port:expr;)*) => {
        /// `service=` (spec 3.2, 5.2).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ServiceName {
            $($variant,)*
        }

        impl ServiceName {
            const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word in files.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The port it usually has.
            pub fn port(self) -> Option<u16> {
                match self {
                    $(Self::$variant => $port,)*
                }
            }
        }
    };
}

services! {
    Dns "dns" Some(53);
    Ftp "ftp" Some(21);
    Grpc "grpc" None;
    Http "http" Some(80);
    Https "https" Some(443);
    HttpProxy "http_proxy" Some(3128);
    Imap "imap" Some(143);
    Imaps "imaps" Some(993);
    Ldap "ldap" Some(389);
    Ldaps "ldaps" Some(636);
    MySql "mysql" Some(3306);
    Nntp "nntp" Some(119);
    None "none" None;
    Oracle "oracle" Some(1521);
    Pop "pop" Some(110);
    Pops "pops" Some(995);
    Radius "radius" Some(1812);
    Postgres "pgsql" Some(5432);
    SimpleTcp "simpletcp" None;
    Sip "sip" Some(5060);
    Smtp "smtp" Some(25);
    Submission "submission" Some(587);
    Submissions "submissions" Some(465);
    Udp "udp" None;
}

impl ServiceName {
    /// The words a file may use.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|service| service.name())
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|service| service.name() == name)
    }

    /// What a virtual on this port is taken for (spec 5.2). Files that were written for the original have virtuals on
    /// port 465 as well, which it does not check.
    pub fn usually_on(port: u16) -> Self {
        let mut known = Self::ALL.iter().copied().filter(|&service| service != Self::Submissions);
        known.find(|service| service.port() == Some(port)).unwrap_or(Self::None)
    }

    /// Whether `starttls=yes` can be asked for.
    pub fn has_starttls(self) -> bool {
        matches!(self, Self::Smtp | Self::Submission | Self::Pop | Self::Imap | Self::Ldap)
    }

    /// Whether it is encrypted from the first byte, with a certificate that can be verified.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Https | Self::Submissions | Self::Pops | Self::Imaps | Self::Ldaps)
    }
}

/// Reads a netmask of the section's family.
pub fn netmask(text: &str, family: Family) -> Option<Netmask> {
    match family {
        Family::Inet => text.parse::<Ipv4Addr>().ok().map(Netmask::Mask),
        Family::Inet6 => {
            let length = text.parse::<NonZeroU8>().ok().filter(|length| length.get() <= 128);
            length.map(Netmask::Prefix)
        }
    }
}
