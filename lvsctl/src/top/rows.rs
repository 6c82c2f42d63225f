//! What is shown, in which order.

use std::cmp::Ordering;
use std::net::SocketAddr;

use serde::Serialize;

use super::rates::{Rates, Tracks};
use crate::ipvs::{DestinationListing, Forward, ServiceKey, ServiceListing, Tunnel};

/// What a row is about.
///
/// ```
/// use lvs::top::Subject;
///
/// let server = Subject::Server("10.0.0.1:80".parse()?);
/// assert_eq!(serde_json::to_string(&server)?, r#"{"server":"10.0.0.1:80"}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// A virtual service.
    Service(ServiceKey),
    /// A server of the service above it.
    Server(SocketAddr),
}

/// One line.
///
/// ```
/// use lvs::ipvs::ServiceKey;
/// use lvs::top::{Row, Subject};
///
/// let row = Row {
///     subject: Subject::Service(ServiceKey::tcp("192.0.2.1:80".parse()?)),
///     how: "wrr".to_owned(),
///     weight: None,
///     active: 3,
///     inactive: 0,
///     persistent: 0,
///     rates: None,
/// };
/// assert_eq!(row.name(), "tcp 192.0.2.1:80");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What it is about.
    pub subject: Subject,
    /// Scheduler of a service, forwarding method of a server.
    pub how: String,
    /// Of a server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Connections that carry traffic; of a service the sum.
    pub active: u64,
    /// Other connection entries.
    pub inactive: u64,
    /// Persistence templates.
    pub persistent: u64,
    /// `None` before the second look.
    pub rates: Option<Rates>,
}

impl Row {
    /// Its name as it is shown.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.subject {
            Subject::Service(key) => key.to_string(),
            Subject::Server(at) => format!("  {at}"),
        }
    }
}

/// What the rows are sorted by. Numbers go down, names go up.
///
/// ```
/// use lvs::top::Sort;
///
/// for (letter, _, name) in Sort::ALL {
///     println!("{letter}  by {name}");
/// }
/// assert_eq!(Sort::default(), Sort::Name);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sort {
    /// By protocol, address and port.
    #[default]
    Name,
    /// By new connections per second.
    Connections,
    /// By active connections.
    Active,
    /// By inactive connections.
    Inactive,
    /// By weight; services by their heaviest server.
    Weight,
    /// By bytes per second from clients.
    BytesIn,
    /// By bytes per second to clients.
    BytesOut,
    /// By packets per second from clients.
    PacketsIn,
}

impl Sort {
    /// Letters, orders and their names.
    pub const ALL: [(char, Self, &'static str); 8] = [
        ('n', Self::Name, "name"),
        ('c', Self::Connections, "conn/s"),
        ('a', Self::Active, "active"),
        ('i', Self::Inactive, "inactive"),
        ('w', Self::Weight, "weight"),
        ('b', Self::BytesIn, "B/s in"),
        ('o', Self::BytesOut, "B/s out"),
        ('p', Self::PacketsIn, "pkt/s in"),
    ];

    pub(super) fn by_letter(letter: char) -> Option<Self> {
        Self::ALL.iter().find(|(its, ..)| *its == letter).map(|(_, sort, _)| *sort)
    }

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, sort, _)| *sort == self).map_or("", |(.., name)| name)
    }

    fn compare(self, a: &Row, b: &Row) -> Ordering {
        let by = |value: fn(&Row) -> u64| value(b).cmp(&value(a));
        let rate = |value: fn(&Rates) -> f64| {
            let of = |row: &Row| row.rates.as_ref().map_or(0.0, value);
            of(b).total_cmp(&of(a))
        };
        match self {
            Self::Name => Ordering::Equal,
            Self::Connections => rate(|rates| rates.connections),
            Self::Active => by(|row| row.active),
            Self::Inactive => by(|row| row.inactive),
            Self::Weight => by(|row| row.weight.unwrap_or_default().into()),
            Self::BytesIn => rate(|rates| rates.bytes_in),
            Self::BytesOut => rate(|rates| rates.bytes_out),
            Self::PacketsIn => rate(|rates| rates.packets_in),
        }
    }
}

/// A service with its servers below it.
type Block = (ServiceKey, Row, Vec<(SocketAddr, Row)>);

pub(super) fn of(services: &[ServiceListing], tracks: &Tracks, sort: Sort, reverse: bool, filter: &str) -> Vec<Row> {
    let mut blocks: Vec<Block> = services.iter().filter_map(|service| block(service, tracks, filter)).collect();
    let turned = |ordering: Ordering| if reverse { ordering.reverse() } else { ordering };
    // Equal ones keep the order of their names, so that rows do not jump about.
    blocks.sort_by_key(|(key, ..)| *key);
    blocks.sort_by(|a, b| turned(sort.compare(&a.1, &b.1).then_with(|| by_name(sort, a.0.cmp(&b.0)))));
    for (.., servers) in &mut blocks {
        servers.sort_by_key(|(at, _)| *at);
        servers.sort_by(|a, b| turned(sort.compare(&a.1, &b.1).then_with(|| by_name(sort, a.0.cmp(&b.0)))));
    }
    blocks
        .into_iter()
        .flat_map(|(_, service, servers)| std::iter::once(service).chain(servers.into_iter().map(|(_, row)| row)))
        .collect()
}

fn by_name(sort: Sort, ordering: Ordering) -> Ordering {
    if sort == Sort::Name { ordering } else { Ordering::Equal }
}

/// `None` if the filter leaves nothing of it. A service that matches shows all its servers.
fn block(service: &ServiceListing, tracks: &Tracks, filter: &str) -> Option<Block> {
    let ServiceListing { key, service: about, destinations, .. } = service;
    let whole = key.to_string().contains(filter);
    let shown = |server: &&DestinationListing| whole || server.at.to_string().contains(filter);
    let servers: Vec<_> =
        destinations.iter().filter(shown).map(|server| (server.at, row(key, server, tracks))).collect();
    if !whole && servers.is_empty() {
        return None;
    }
    let sum = |count: fn(&DestinationListing) -> u32| destinations.iter().map(|server| u64::from(count(server))).sum();
    let head = Row {
        subject: Subject::Service(*key),
        how: about.scheduler.to_string(),
        weight: None,
        active: sum(|server| server.active_connections),
        inactive: sum(|server| server.inactive_connections),
        persistent: sum(|server| server.persistent_connections),
        rates: tracks.rates(&(*key, None)),
    };
    Some((*key, head, servers))
}

fn row(key: &ServiceKey, server: &DestinationListing, tracks: &Tracks) -> Row {
    let how = match server.destination.forward {
        Forward::Masq => "masq",
        Forward::Local => "local",
        Forward::Gate => "direct",
        Forward::Bypass => "bypass",
        Forward::Tunnel(Tunnel::Ipip) => "ipip",
        Forward::Tunnel(Tunnel::Gue { .. }) => "gue",
        Forward::Tunnel(Tunnel::Gre { .. }) => "gre",
        Forward::Tunnel(Tunnel::Other { .. }) => "tunnel",
    };
    Row {
        subject: Subject::Server(server.at),
        how: how.to_owned(),
        weight: Some(server.destination.weight),
        active: server.active_connections.into(),
        inactive: server.inactive_connections.into(),
        persistent: server.persistent_connections.into(),
        rates: tracks.rates(&(*key, Some(server.at))),
    }
}
