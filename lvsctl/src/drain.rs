//! Taking a real server out of the kernel's table gently: no new connections, wait for the present ones, delete.
//!
//! What is decided here is decided on values; `lvsctl drain` asks the kernel and waits. The weight from before
//! is kept in [`store`], so that it can be given back after the program has ended.

pub mod store;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ipvs::{Change, Destination, DestinationListing, Service, ServiceKey, Table};
use crate::state::ServiceName;

/// A real server of a service.
///
/// ```
/// use lvs::drain::Target;
/// use lvs::ipvs::ServiceKey;
///
/// let target = Target { service: ServiceKey::tcp("192.0.2.1:80".parse()?), server: "10.0.0.1:80".parse()? };
/// assert_eq!(target.to_string(), "real server 10.0.0.1:80 of tcp 192.0.2.1:80");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// The virtual service.
    pub service: ServiceKey,
    /// The server in it.
    pub server: SocketAddr,
}

/// `real server 10.1.0.1:80 of tcp 10.0.0.1:80`
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "real server {} of {}", self.server, self.service)
    }
}

/// What is typed names no server.
///
/// ```
/// use lvs::drain::{SelectError, select};
/// use lvs::ipvs::Table;
///
/// let error = select(&Table::new(), &[], None, "web1").expect_err("no address");
/// assert_eq!(error, SelectError::Address("web1".to_owned()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// It is not even an address.
    #[error("{0:?} is no real server; say 192.168.60.132:80, or 192.168.60.132 for each of its ports")]
    Address(String),
    /// The table has no such service.
    #[error("there is no virtual service {service}; there are: {known}")]
    Service {
        /// As asked.
        service: ServiceName,
        /// Those that there are.
        known: String,
    },
    /// No such server in the services that are meant.
    #[error("there is no real server {server}; there are: {known}")]
    Server {
        /// As asked.
        server: String,
        /// Those that there are.
        known: String,
    },
}

/// The servers that are meant: `server` is an address with its port, or alone for each of its ports.
/// `also` are servers that are not in the table any more and may be meant all the same.
///
/// # Errors
/// If none is.
pub fn select(
    table: &Table,
    also: &[Target],
    service: Option<&ServiceName>,
    server: &str,
) -> Result<Vec<Target>, SelectError> {
    let (ip, port) = match (server.parse::<SocketAddr>(), server.parse::<IpAddr>()) {
        (Ok(at), _) => (at.ip(), Some(at.port())),
        (_, Ok(ip)) => (ip, None),
        _ => return Err(SelectError::Address(server.to_owned())),
    };
    let meant = |key: &ServiceKey| service.is_none_or(|service| service.means(key));
    let in_table = table.iter().flat_map(|(key, entry)| {
        entry.destinations.keys().map(|at| Target { service: *key, server: *at }).collect::<Vec<_>>()
    });
    let mut targets: Vec<Target> = in_table.chain(also.iter().copied()).filter(|t| meant(&t.service)).collect();
    targets.sort();
    targets.dedup();
    if let Some(service) = service.filter(|_| targets.is_empty() && !table.keys().any(meant)) {
        return Err(SelectError::Service { service: *service, known: known(table.keys().map(ServiceKey::to_string)) });
    }
    let is_it = |t: &Target| t.server.ip() == ip && port.is_none_or(|port| t.server.port() == port);
    let found: Vec<Target> = targets.iter().copied().filter(is_it).collect();
    if found.is_empty() {
        let servers: BTreeSet<SocketAddr> = targets.iter().map(|t| t.server).collect();
        let known = known(servers.iter().map(SocketAddr::to_string));
        return Err(SelectError::Server { server: server.to_owned(), known });
    }
    Ok(found)
}

fn known(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// What still goes to a server.
///
/// ```
/// use lvs::drain::Left;
///
/// let left = Left { active: 2, inactive: 1, persistent: 9 };
/// assert_eq!(left.connections(), 3);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Connections that carry traffic.
    pub active: u32,
    /// Connections that are ending or idle; every UDP one.
    pub inactive: u32,
    /// Clients that persistence keeps at this server. They hold up nothing: deleting the server frees them.
    pub persistent: u32,
}

impl Left {
    /// What the kernel counts.
    #[must_use]
    pub fn of(listing: &DestinationListing) -> Self {
        Self {
            active: listing.active_connections,
            inactive: listing.inactive_connections,
            persistent: listing.persistent_connections,
        }
    }

    /// Connections that deleting the server would cut.
    #[must_use]
    pub fn connections(self) -> u64 {
        u64::from(self.active) + u64::from(self.inactive)
    }
}

/// What to do about a server that is being drained.
///
/// ```
/// use std::time::Duration;
/// use lvs::drain::{Step, step};
///
/// assert_eq!(step(None, Duration::ZERO, None), Step::Gone);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Look again later.
    Wait(Left),
    /// Nothing goes to it any more.
    Empty(Left),
    /// Its time is over.
    Late(Left),
    /// Somebody else gave it a weight again.
    Revived(u32),
    /// Whoever was told to take its weight has not done so.
    Unchanged(u32),
    /// Somebody else deleted it.
    Gone,
}

/// Judges what the kernel says of a server after `elapsed`; `None` if it is not in the table.
#[must_use]
pub fn step(listing: Option<&DestinationListing>, elapsed: Duration, timeout: Option<Duration>) -> Step {
    let Some(listing) = listing else { return Step::Gone };
    let left = Left::of(listing);
    if listing.destination.weight > 0 {
        Step::Revived(listing.destination.weight)
    } else if left.connections() == 0 {
        Step::Empty(left)
    } else if timeout.is_some_and(|timeout| elapsed >= timeout) {
        Step::Late(left)
    } else {
        Step::Wait(left)
    }
}

/// How long another program may take from accepting an order to drain until the table says so.
pub const PROGRAMMED_WITHIN: Duration = Duration::from_secs(15);

/// As [`step`], where another program takes the weight and has only accepted the order: until the weight was 0
/// once (`quiet`), a weight is one that is still there, and not one that somebody gave.
#[must_use]
pub fn step_behind(
    listing: Option<&DestinationListing>,
    quiet: bool,
    elapsed: Duration,
    timeout: Option<Duration>,
) -> Step {
    match (step(listing, elapsed, timeout), listing) {
        (Step::Revived(weight), _) if !quiet && elapsed >= PROGRAMMED_WITHIN => Step::Unchanged(weight),
        (Step::Revived(_), Some(listing)) if !quiet => Step::Wait(Left::of(listing)),
        (step, _) => step,
    }
}

/// Why a server with weight 0 would go on getting clients, and what to do; `None` if it would not.
/// `expires` is the sysctl expire_quiescent_template.
#[must_use]
pub fn sticky(service: &Service, expires: Option<bool>) -> Option<String> {
    let persistence = service.persistence?;
    if expires == Some(true) {
        return None;
    }
    Some(format!(
        "the service is persistent and net.ipv4.vs.expire_quiescent_template is 0: clients that were here before come \
         back for up to {} s after each connection; \"sysctl -w net.ipv4.vs.expire_quiescent_template=1\" lets them go \
         to other servers",
        persistence.timeout
    ))
}

/// A server that somebody drained.
///
/// ```
/// use lvs::drain::{Drained, Target};
/// use lvs::ipvs::{Destination, Forward, ServiceKey};
///
/// let target = Target { service: ServiceKey::tcp("192.0.2.1:80".parse()?), server: "10.0.0.1:80".parse()? };
/// let before = Destination::new(Forward::Gate, 3);
/// let drained = Drained { namespace: "net:[4026531840]".to_owned(), target, destination: before, since: 0 };
/// assert_eq!(drained.destination.weight, 3);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    /// Whose table: the network namespace, as `/proc/self/ns/net` names it.
    pub namespace: String,
    /// Which server.
    #[serde(flatten)]
    pub target: Target,
    /// What it was like before.
    pub destination: Destination,
    /// When, seconds since 1970.
    pub since: u64,
}

/// Everything that is drained and not yet given back.
///
/// ```
/// use lvs::drain::{Drained, Memory, Target};
/// use lvs::ipvs::{Destination, Forward, ServiceKey};
///
/// let target = Target { service: ServiceKey::tcp("192.0.2.1:80".parse()?), server: "10.0.0.1:80".parse()? };
/// let destination = Destination::new(Forward::Gate, 3);
/// let mut memory = Memory::default();
/// memory.remember(Drained { namespace: "blue".to_owned(), target, destination, since: 0 });
/// assert_eq!(memory.recall("blue", &target).map(|drained| drained.destination.weight), Some(3));
/// assert_eq!(memory.recall("red", &target), None);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// In the order in which they were drained.
    pub drained: Vec<Drained>,
}

impl Memory {
    /// Remembers a server. One that has weight 0 and is remembered already keeps what is remembered.
    pub fn remember(&mut self, new: Drained) {
        let old = self.recall(&new.namespace, &new.target);
        if new.destination.weight == 0 && old.is_some() {
            return;
        }
        self.forget(&new.namespace, &new.target);
        self.drained.push(new);
    }

    /// What a server was like.
    #[must_use]
    pub fn recall(&self, namespace: &str, target: &Target) -> Option<&Drained> {
        self.drained.iter().find(|drained| drained.namespace == namespace && drained.target == *target)
    }

    /// The servers of a namespace.
    #[must_use]
    pub fn of(&self, namespace: &str) -> Vec<Target> {
        self.drained.iter().filter(|drained| drained.namespace == namespace).map(|drained| drained.target).collect()
    }

    /// Forgets a server.
    pub fn forget(&mut self, namespace: &str, target: &Target) {
        self.drained.retain(|drained| drained.namespace != namespace || drained.target != *target);
    }
}

/// A drained server cannot be given back.
///
/// ```
/// use lvs::drain::{Target, UndrainError, undrain};
/// use lvs::ipvs::{ServiceKey, Table};
///
/// let target = Target { service: ServiceKey::tcp("192.0.2.1:80".parse()?), server: "10.0.0.1:80".parse()? };
/// let error = undrain(&Table::new(), &target, None, None).expect_err("an empty table");
/// assert_eq!(error, UndrainError::NoService(target.service));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UndrainError {
    /// Its service is gone.
    #[error("{0} is not in the table any more, nor are its real servers")]
    NoService(ServiceKey),
    /// Nobody drained it here, and it has gone.
    #[error("{0} was not drained here")]
    Unknown(Target),
    /// It has weight 0 and nobody knows what it had before.
    #[error("nobody remembers which weight {0} had; say it with --weight")]
    NoWeight(Target),
}

/// The change that gives a server back, or none if it has a weight already. `weight` overrides what is remembered;
/// a remembered weight of 0 says only that somebody had taken it before.
///
/// # Errors
/// If there is nothing to give back, or nothing to give it back to.
pub fn undrain(
    table: &Table,
    target: &Target,
    remembered: Option<&Destination>,
    weight: Option<u32>,
) -> Result<Option<Change>, UndrainError> {
    let service = table.get(&target.service).ok_or(UndrainError::NoService(target.service))?;
    let Target { service: key, server } = *target;
    let known = weight.or(remembered.map(|old| old.weight).filter(|&weight| weight > 0));
    match (service.destinations.get(&server), remembered) {
        (Some(now), _) => match known {
            Some(weight) if weight == now.weight => Ok(None),
            // Somebody gave it another weight since: that one counts, unless a weight is asked for.
            Some(_) if now.weight > 0 && weight.is_none() => Ok(None),
            Some(weight) => Ok(Some(Change::EditDestination(key, server, Destination { weight, ..*now }))),
            None if now.weight > 0 => Ok(None),
            None => Err(UndrainError::NoWeight(*target)),
        },
        (None, Some(old)) => {
            let weight = known.ok_or(UndrainError::NoWeight(*target))?;
            Ok(Some(Change::AddDestination(key, server, Destination { weight, ..*old })))
        }
        (None, None) => Err(UndrainError::Unknown(*target)),
    }
}

/// What to do about each server that is given back. Those whose service is gone are forgotten: there is nothing
/// that they could be given back to.
#[must_use]
pub fn undrain_all(
    table: &Table,
    memory: &mut Memory,
    namespace: &str,
    targets: &[Target],
    weight: Option<u32>,
) -> Vec<(Target, Result<Option<Change>, UndrainError>)> {
    let mut what = Vec::new();
    for target in targets {
        let remembered = memory.recall(namespace, target).map(|old| old.destination);
        let outcome = undrain(table, target, remembered.as_ref(), weight);
        if matches!(outcome, Err(UndrainError::NoService(_))) {
            memory.forget(namespace, target);
        }
        what.push((*target, outcome));
    }
    what
}

#[cfg(test)]
mod tests;
