//! What the kernel's table should say about one virtual service.
//!
//! Pure. The wanted service is made from the live one: only what the checks, the file or an
//! administrator of ours changed is touched, so a weight that somebody set by hand stays until
//! that server changes state or the file is read again (spec/ldirectord.md 7.1, T16).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use lvs::ipvs::{Change, Destination, VirtualService};

use crate::config::model::{Real, Virtual};
use crate::notice::{Notice, Occasion, ServerName, ServiceName};
use crate::verdict::Verdict;

/// What the table should say about one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Whatever it says: nothing is known about the server yet.
    Leave,
    /// In it, with its weight.
    Serve(Destination),
    /// In it with weight 0; thresholds stay (spec B21).
    Quiesce(Destination),
    /// Not in it.
    Gone,
}

impl Target {
    /// What a verdict asks for.
    #[must_use]
    pub fn of(service: &Virtual, real: &Real, verdict: &Verdict) -> Self {
        let quiesce = Self::Quiesce(Destination { weight: 0, ..real.destination });
        if verdict.serves() {
            Self::Serve(real.destination)
        } else if verdict.is_maintained() {
            // As a failed check: the file is stronger than an order to drain.
            if service.quiescent { quiesce } else { Self::Gone }
        } else if verdict.is_unknown() && !verdict.is_drained() {
            Self::Leave
        } else if verdict.passes() || verdict.is_unknown() || service.quiescent {
            quiesce
        } else {
            Self::Gone
        }
    }

    /// The weight the server should have; `None` if it should not be there.
    #[must_use]
    pub fn weight(&self) -> Option<u32> {
        match self {
            Self::Serve(destination) | Self::Quiesce(destination) => Some(destination.weight),
            Self::Leave | Self::Gone => None,
        }
    }
}

/// One server's part of an [`Intent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// What the table should say.
    pub target: Target,
    /// It has to be made so now. Otherwise the table's word stands.
    pub assert: bool,
    /// A quiescent server that is not in the table is put there: it was judged for the first
    /// time (spec B3), or the file says `readdquiescent`.
    pub insert: bool,
}

/// What is asked about a server that the file knows no more and whose connections may end first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// Weight 0.
    Drain,
    /// Not in the table.
    Delete,
}

/// What one virtual asks of the table.
#[derive(Debug, Clone)]
pub struct Intent<'a> {
    /// The service.
    pub service: &'a Virtual,
    /// Scheduler, flags and persistence have to be made what the file says.
    pub define: bool,
    /// Servers that the file does not know are removed (start and reload).
    pub purge: bool,
    /// In the order of the service's servers.
    pub servers: Vec<Claim>,
    /// Servers of an earlier file that leave slowly.
    pub departing: BTreeMap<SocketAddr, Departure>,
    /// The fallback should be in the table.
    pub fallback_serves: bool,
    /// ... and has to be put there or removed now.
    pub fallback_assert: bool,
    /// `readdquiescent`, for the wording.
    pub readd_quiescent: bool,
}

/// Where a line stands among the others of the same batch: services first, then each
/// service's servers in the file's order, unknown servers, the fallback (spec 7.1, 7.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The service itself.
    Service,
    /// A server of the file, by its place there.
    Real(usize),
    /// A server that is only in the table.
    Unknown,
    /// The fallback.
    Fallback,
}

impl Intent<'_> {
    /// The service as it should be, given as it is (`None`: it is not in the table).
    #[must_use]
    pub fn wanted(&self, live: Option<&VirtualService>) -> VirtualService {
        let absent = live.is_none();
        let fresh = || VirtualService { service: self.service.service.clone(), destinations: BTreeMap::new() };
        let mut wanted = live.cloned().unwrap_or_else(fresh);
        if self.define {
            wanted.service = self.service.service.clone();
        }
        if self.purge {
            wanted.destinations.retain(|&at, _| self.knows(at) || self.departing.contains_key(&at));
        }
        for (at, departure) in &self.departing {
            match departure {
                Departure::Drain => {
                    if let Some(found) = wanted.destinations.get_mut(at) {
                        found.weight = 0;
                    }
                }
                Departure::Delete => {
                    wanted.destinations.remove(at);
                }
            }
        }
        for (real, claim) in self.service.reals.iter().zip(&self.servers) {
            if !claim.assert && !absent {
                continue;
            }
            let servers = &mut wanted.destinations;
            match claim.target {
                Target::Leave => {}
                Target::Serve(destination) => {
                    servers.insert(real.at, destination);
                }
                Target::Quiesce(destination) => {
                    if absent || claim.insert || servers.contains_key(&real.at) {
                        servers.insert(real.at, destination);
                    }
                }
                Target::Gone => {
                    servers.remove(&real.at);
                }
            }
        }
        if let Some(fallback) = &self.service.fallback {
            // Where the fallback is also one of the servers, that server's part was done above.
            let shared = self.real(fallback.at).is_some();
            if self.fallback_serves && (self.fallback_assert || absent || shared) {
                wanted.destinations.insert(fallback.at, fallback.destination);
            } else if self.fallback_assert && !self.fallback_serves && !shared {
                wanted.destinations.remove(&fallback.at);
            }
        }
        wanted
    }

    fn knows(&self, at: SocketAddr) -> bool {
        self.is_fallback(at) || self.real(at).is_some()
    }

    fn is_fallback(&self, at: SocketAddr) -> bool {
        self.service.fallback.as_ref().is_some_and(|fallback| fallback.at == at)
    }

    fn real(&self, at: SocketAddr) -> Option<(usize, &Real)> {
        self.service.reals.iter().enumerate().find(|(_, real)| real.at == at)
    }

    /// The notice for a change of this service that was carried out, and its place.
    /// `None` for changes that no intent makes.
    #[must_use]
    pub fn notice(&self, change: &Change) -> Option<(Place, Notice)> {
        let service = ServiceName::of(self.service);
        Some(match change {
            Change::AddService(..) => (Place::Service, Notice::VirtualAdded { service }),
            Change::EditService(..) => (Place::Service, Notice::VirtualChanged { service }),
            Change::AddDestination(_, at, _) => self.arrival(service, *at, true)?,
            Change::EditDestination(_, at, _) => self.arrival(service, *at, false)?,
            Change::DeleteDestination(_, at) => match (self.real(*at), &self.service.fallback) {
                (Some((n, real)), _) => (Place::Real(n), Notice::RealDeleted { service, real: ServerName::real(real) }),
                (None, Some(fallback)) if fallback.at == *at => {
                    (Place::Fallback, Notice::FallbackDeleted { service, real: ServerName::fallback(fallback) })
                }
                (None, _) => {
                    let real = ServerName::unknown(*at);
                    (Place::Unknown, Notice::RealPurged { service, real, occasion: Occasion::Start })
                }
            },
            _ => return None,
        })
    }

    fn arrival(&self, service: ServiceName, at: SocketAddr, added: bool) -> Option<(Place, Notice)> {
        if let Some(fallback) = self.service.fallback.as_ref().filter(|f| f.at == at && self.fallback_serves) {
            let real = ServerName::fallback(fallback);
            let notice = if added {
                Notice::FallbackAdded { service, real }
            } else {
                Notice::FallbackRestored { service, real }
            };
            return Some((Place::Fallback, notice));
        }
        if !added && self.departing.contains_key(&at) {
            let real = ServerName::unknown(at);
            return Some((Place::Unknown, Notice::RealQuiescent { service, real, again: false }));
        }
        let (n, found) = self.real(at)?;
        let (real, weight) = (ServerName::real(found), found.weight_as_written.clone());
        let notice = match (self.servers.get(n)?.target, added) {
            (Target::Quiesce(_), _) => Notice::RealQuiescent { service, real, again: added && self.readd_quiescent },
            (Target::Serve(now), false) if now.weight != found.destination.weight => {
                Notice::WeightSet { service, real, weight: now.weight }
            }
            (Target::Serve(now), true) if now.weight != found.destination.weight => {
                Notice::RealAdded { service, real, weight: now.weight.to_string() }
            }
            (_, true) => Notice::RealAdded { service, real, weight },
            (_, false) => Notice::RealRestored { service, real, weight },
        };
        Some((Place::Real(n), notice))
    }
}
