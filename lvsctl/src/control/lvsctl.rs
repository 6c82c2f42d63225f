//! `lvsctl serve`, the privileged helper.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::ipvs::{
    Change, Destination, Refusal, Service, ServiceKey, ServiceListing, SyncDaemon, SyncRole, Table, VirtualService,
};

/// Name in the greeting and of the socket.
pub const SPEAKS: &str = "lvsctl";

/// What may be asked.
///
/// ```
/// use lvs::control::lvsctl::Request;
///
/// let line = serde_json::to_string(&Request::Table { after: None })?;
/// assert_eq!(line, r#"{"op":"table"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// [`Status`]. Rank read.
    Status {},
    /// [`Status`], then [`Notice`]s. Rank read.
    Watch {},
    /// A [`Page`] of the table, from its beginning or behind a position. Rank read.
    Table {
        /// `more` of the page before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Position>,
    },
    /// The counters of one service and its servers: [`Counters`]. Rank read.
    Stats {
        /// Which service.
        service: ServiceKey,
        /// `more` of the page before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<SocketAddr>,
    },
    /// Makes exactly these services what is said, and leaves others alone. [`Applied`]. Rank program.
    Apply {
        /// The services.
        services: Vec<Entry>,
    },
    /// Carries out changes in order. [`Outcome`]s. Rank program.
    Change {
        /// At most [`MAX_CHANGES`].
        changes: Vec<Change>,
    },
    /// Deletes services with their servers; one that does not exist is no error. [`Outcome`]s. Rank program.
    Remove {
        /// The services, at most [`MAX_CHANGES`].
        services: Vec<ServiceKey>,
    },
    /// Starts (or restarts) a sync daemon, or stops one. [`Outcome`]s. Rank program.
    SyncDaemon {
        /// Which half.
        role: SyncRole,
        /// `None` stops it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<SyncDaemon>,
    },
}

/// Changes in one request; a client with more sends several requests. A line of that many stays
/// below 64 KiB, and so does the answer when all are refused.
pub const MAX_CHANGES: usize = 100;

/// Real servers on one page.
pub const PAGE: usize = 256;

/// Real servers on one page of counters, which are longer.
pub const COUNTERS_PAGE: usize = 64;

/// A service, or a part of its servers.
///
/// ```
/// use lvs::control::lvsctl::{Entry, Request};
/// use lvs::ipvs::{Destination, Forward, Service, ServiceKey};
///
/// let web = Entry {
///     key: ServiceKey::tcp("192.0.2.1:80".parse()?),
///     service: Service::default(),
///     destinations: [("10.0.0.1:80".parse()?, Destination::new(Forward::Gate, 1))].into(),
/// };
/// let request = Request::Apply { services: vec![web] };
/// println!("{}", serde_json::to_string(&request)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Which service.
    pub key: ServiceKey,
    /// How it schedules.
    pub service: Service,
    /// Its servers, or those that are on this page.
    pub destinations: BTreeMap<SocketAddr, Destination>,
}

/// The last thing on a page.
///
/// ```
/// use lvs::control::lvsctl::{Page, Position};
/// use lvs::ipvs::{ServiceKey, Table};
///
/// let behind = Position { key: ServiceKey::tcp("192.0.2.1:80".parse()?), at: None };
/// assert!(Page::of(&Table::new(), Some(&behind)).services.is_empty());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Its service.
    pub key: ServiceKey,
    /// Its server; `None` if the service has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<SocketAddr>,
}

/// A part of the table; a service whose servers do not fit appears on several pages.
///
/// ```
/// use lvs::control::lvsctl::{Page, Request};
/// use lvs::ipc::{CallError, Client};
/// use lvs::ipvs::Table;
///
/// async fn table(client: &mut Client) -> Result<Table, CallError> {
///     let (mut table, mut after) = (Table::new(), None);
///     loop {
///         let page: Page = client.call(&Request::Table { after }).await?;
///         after = page.more.clone();
///         page.add_to(&mut table);
///         if after.is_none() {
///             return Ok(table);
///         }
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Services in order.
    pub services: Vec<Entry>,
    /// Where the next page begins; `None` on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<Position>,
}

impl Page {
    /// The page of `table` behind `after`, at most [`PAGE`] servers and services.
    #[must_use]
    pub fn of(table: &Table, after: Option<&Position>) -> Self {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let mut page = Self { services: Vec::new(), more: None };
        let mut room = PAGE;
        let mut last = None;
        let first = after.map_or(Unbounded, |p| Included(p.key));
        for (&key, entry) in table.range((first, Unbounded)) {
            let seen = after.filter(|p| p.key == key);
            let servers: Vec<_> = match seen {
                Some(Position { at: Some(at), .. }) => entry.destinations.range((Excluded(*at), Unbounded)).collect(),
                Some(Position { at: None, .. }) => continue,
                None => entry.destinations.iter().collect(),
            };
            if seen.is_some() && servers.is_empty() {
                continue;
            }
            if room == 0 {
                page.more = last;
                return page;
            }
            let fits = servers.len().min(room);
            room -= fits.max(1);
            let destinations: BTreeMap<_, _> = servers[..fits].iter().map(|(at, d)| (**at, **d)).collect();
            let position = Position { key, at: destinations.keys().next_back().copied() };
            page.services.push(Entry { key, service: entry.service.clone(), destinations });
            if fits < servers.len() {
                page.more = Some(position);
                return page;
            }
            last = Some(position);
        }
        page
    }

    /// Adds the page to a table that pages are gathered in.
    pub fn add_to(self, table: &mut Table) {
        for Entry { key, service, destinations } in self.services {
            let entry = table.entry(key).or_insert_with(|| VirtualService { service, destinations: BTreeMap::new() });
            entry.destinations.extend(destinations);
        }
    }
}

/// What became of one change.
///
/// ```
/// use lvs::control::lvsctl::Outcome;
/// use lvs::ipvs::{Change, Refusal};
///
/// let refusal = Refusal::new(Change::Flush, 1); // EPERM
/// let outcome = Outcome::of(Change::Flush, Err(refusal.clone()));
/// assert_eq!(outcome.into_result(), Err(refusal));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The change.
    pub change: Change,
    /// Why the kernel refused it, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

/// A [`Refusal`] beside its change.
///
/// ```
/// use lvs::control::lvsctl::Refused;
///
/// let it: Refused = serde_json::from_str(r#"{"errno":3,"explanation":"there is no such service"}"#)?;
/// assert_eq!(it.errno, 3);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// [`Refusal::errno`].
    pub errno: i32,
    /// [`Refusal::explanation`].
    pub explanation: String,
}

impl Outcome {
    /// The outcome that a result is.
    #[must_use]
    pub fn of(change: Change, result: Result<(), Refusal>) -> Self {
        let refused = result.err().map(|Refusal { errno, explanation, .. }| Refused { errno, explanation });
        Self { change, refused }
    }

    /// The result that the outcome is.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn into_result(self) -> Result<(), Refusal> {
        let Self { change, refused } = self;
        match refused {
            None => Ok(()),
            Some(Refused { errno, explanation }) => Err(Refusal { change: Box::new(change), errno, explanation }),
        }
    }
}

/// What became of an `apply`.
///
/// ```
/// use lvs::control::lvsctl::Applied;
///
/// let it: Applied = serde_json::from_str(r#"{"outcomes":[],"more":false}"#)?;
/// assert!(it.outcomes.is_empty(), "it was so already");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The changes that were made or tried, at most [`MAX_CHANGES`].
    pub outcomes: Vec<Outcome>,
    /// There is more to change: ask again with the same services, unless all of this was refused.
    pub more: bool,
}

/// Counters of a service and of some of its servers.
///
/// ```
/// use lvs::control::lvsctl::{Counters, Request};
/// use lvs::ipc::{CallError, Client};
/// use lvs::ipvs::ServiceKey;
///
/// async fn connections(client: &mut Client, service: ServiceKey) -> Result<u64, CallError> {
///     let counters: Counters = client.call(&Request::Stats { service, after: None }).await?;
///     Ok(counters.service.stats.connections)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// The service; of its servers those on this page, by address.
    pub service: ServiceListing,
    /// Behind which server the next page begins; `None` on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<SocketAddr>,
}

/// The helper's state.
///
/// ```
/// use lvs::control::lvsctl::Status;
///
/// let line = r#"{"ipvs_version":"1.2.1","services":2,"real_servers":4,"sync_daemons":[],
///     "changes_done":6,"changes_refused":0}"#;
/// let it: Status = serde_json::from_str(line)?;
/// assert_eq!(it.real_servers, 4);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Kernel's IPVS version, "1.2.1".
    pub ipvs_version: String,
    /// Virtual services in the table.
    pub services: usize,
    /// Real servers in the table.
    pub real_servers: usize,
    /// Sync daemons that run.
    pub sync_daemons: Vec<SyncDaemon>,
    /// Changes carried out since the start.
    pub changes_done: u64,
    /// Changes the kernel refused since the start.
    pub changes_refused: u64,
}

/// What a watcher is told.
///
/// ```
/// use lvs::control::lvsctl::Notice;
///
/// fn line(notice: &Notice) -> String {
///     match notice {
///         Notice::Changed { change, uid } => format!("{change} (for uid {uid})"),
///         Notice::Refused { refusal, uid } => format!("{refusal} (for uid {uid})"),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "kebab-case")]
pub enum Notice {
    /// A change was carried out.
    Changed {
        /// The change.
        change: Change,
        /// User id of who asked.
        uid: u32,
    },
    /// The kernel refused one.
    Refused {
        /// The refusal.
        refusal: Refusal,
        /// User id of who asked.
        uid: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::{
        Family, Forward, MAX_WEIGHT, Netmask, Persistence, Protocol, SchedulerFlags, Tunnel, TunnelChecksum,
    };
    use proptest::prelude::*;

    fn table(services: &[usize]) -> Table {
        let entry = |(s, &servers): (usize, &usize)| {
            let service_octet = u8::try_from(s).expect("few services");
            let key = ServiceKey::tcp(SocketAddr::from(([10, 0, 0, service_octet], 80)));
            let destinations = (0..servers)
                .map(|n| {
                    let port = u16::try_from(n + 1).expect("few servers");
                    (SocketAddr::from(([10, 1, 0, 1], port)), Destination::new(Forward::Masq, 1))
                })
                .collect();
            (key, VirtualService { service: Service::default(), destinations })
        };
        services.iter().enumerate().map(entry).collect()
    }

    proptest! {
        #[test]
        fn the_pages_together_are_the_table(sizes in proptest::collection::vec(0usize..700, 0..6)) {
            let whole = table(&sizes);
            let mut gathered = Table::new();
            let mut after = None;
            loop {
                let page = Page::of(&whole, after.as_ref());
                after = page.more.clone();
                prop_assert!(serde_json::to_string(&page).expect("plain data").len() < crate::ipc::MAX_LINE);
                page.add_to(&mut gathered);
                if after.is_none() { break }
            }
            prop_assert_eq!(gathered, whole);
        }
    }

    #[test]
    fn the_longest_answer_fits_into_a_line() {
        let far = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535".parse().expect("an address");
        let tunnel = Tunnel::Gue { port: 65535, checksum: TunnelChecksum::Other(65535) };
        let destination = Destination {
            forward: Forward::Tunnel(tunnel),
            weight: MAX_WEIGHT,
            upper_threshold: u32::MAX,
            lower_threshold: u32::MAX,
        };
        let service = Service {
            scheduler: "x".repeat(15).parse().expect("15 bytes"),
            scheduler_flags: SchedulerFlags::from_bits(0x38),
            persistence: Some(Persistence { timeout: u32::MAX, netmask: Netmask::host(Family::Inet6) }),
            one_packet: true,
            engine: Some("x".repeat(16).parse().expect("16 bytes")),
        };
        let key = ServiceKey::Address { protocol: Protocol::Other(65535), at: far };
        for change in [Change::EditDestination(key, far, destination), Change::AddService(key, service)] {
            let longest = [libc::EINVAL, libc::ENOENT, libc::ENOBUFS, libc::ERANGE].map(|errno| {
                let outcome = Outcome::of(change.clone(), Err(Refusal::new(change.clone(), errno)));
                serde_json::to_string(&vec![outcome; MAX_CHANGES]).expect("plain data").len()
            });
            assert!(longest.into_iter().all(|bytes| bytes < crate::ipc::MAX_LINE - 100), "{longest:?}");
        }
    }

    #[test]
    fn an_outcome_is_a_result() {
        let change = Change::DeleteService(ServiceKey::tcp(SocketAddr::from(([10, 0, 0, 1], 80))));
        for result in [Ok(()), Err(Refusal::new(change.clone(), libc::ESRCH))] {
            assert_eq!(Outcome::of(change.clone(), result.clone()).into_result(), result);
        }
    }

    #[test]
    fn an_unknown_field_is_refused() {
        assert!(serde_json::from_str::<Request>(r#"{"op":"status"}"#).is_ok());
        assert!(serde_json::from_str::<Request>(r#"{"op":"status","x":1}"#).is_err());
    }
}
