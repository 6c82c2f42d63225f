//! Servers that are to leave the table and may keep their connections for a while (`draintimeout`): weight 0
//! first, deleted when nothing goes to them any more or the time is over.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lvs::drain::Left;
use lvs::ipvs::{ServiceKey, VirtualService};

use super::{Farm, Held};
use crate::wanted::{Departure, Target};

/// Between two looks at the connections.
pub const LOOK: Duration = Duration::from_secs(1);

/// What still goes to the servers of some services.
pub type Counted = BTreeMap<ServiceKey, BTreeMap<SocketAddr, Left>>;

/// How far a server of the file is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Leave {
    /// Nobody wants it out of the table, or it was not there.
    #[default]
    Stays,
    /// Its connections may end until then.
    Until(Instant),
    /// They have, or had the time to.
    Over,
}

/// A server that is in the table and in the file no more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Departing {
    until: Instant,
    over: bool,
    /// The table may not say so yet.
    pub(super) dirty: bool,
}

impl Departing {
    pub(super) fn asks_for(&self) -> Departure {
        if self.over { Departure::Delete } else { Departure::Drain }
    }
}

impl Farm {
    /// The services whose connections are to be counted with the next look at the table.
    #[must_use]
    pub fn to_count(&self) -> Vec<ServiceKey> {
        self.virtuals.iter().filter(|held| held.look.is_some()).map(|held| held.service.key).collect()
    }

    /// Takes what was counted, before [`Farm::plan`]. A service that is missing could not be counted; the time of its
    /// servers runs on.
    pub fn counted(&mut self, now: Instant, counted: &Counted) {
        self.disturb();
        for held in self.virtuals.iter_mut().filter(|held| held.look.is_some_and(|look| look <= now)) {
            held.counted(now, counted.get(&held.service.key));
        }
    }
}

impl Held {
    /// Whether some server's connections are waited for.
    fn waits(&self) -> bool {
        let ours = self.servers.iter().any(|server| matches!(server.leave, Leave::Until(_)));
        ours || self.departing.values().any(|departing| !departing.over)
    }

    /// The table as it is before it is changed: which servers begin to leave, and which are gone already.
    pub(super) fn begin_leaving(&mut self, now: Instant, found: Option<&VirtualService>) {
        let there = |at: &SocketAddr| found.is_some_and(|found| found.destinations.contains_key(at));
        self.departing.retain(|at, _| there(at));
        let Some(limit) = self.service.extensions.drain_timeout else { return };
        for r in 0..self.servers.len() {
            let there = there(&self.real(r).at);
            let leave = match self.servers[r].leave {
                Leave::Stays if there && self.servers[r].dirty && self.verdicts_target(r) == Target::Gone => {
                    Leave::Until(now + limit)
                }
                Leave::Until(_) if !there => Leave::Over,
                same => same,
            };
            self.servers[r].leave = leave;
        }
        if self.purge {
            let fallback = self.service.fallback.map(|fallback| fallback.at);
            for &at in found.iter().flat_map(|found| found.destinations.keys()) {
                if Some(at) != fallback && !self.service.reals.iter().any(|real| real.at == at) {
                    let new = Departing { until: now + limit, over: false, dirty: true };
                    self.departing.entry(at).or_insert(new);
                }
            }
        }
        self.look = if self.waits() { self.look.or(Some(now + LOOK)) } else { None };
    }

    fn counted(&mut self, now: Instant, counted: Option<&BTreeMap<SocketAddr, Left>>) {
        // Before its weight is 0, a server without connections may get one.
        let is_over = |at: &SocketAddr, until: Instant, settled: bool| {
            let left = counted.map(|servers| servers.get(at).map_or(0, |left| left.connections()));
            until <= now || (settled && left == Some(0))
        };
        for (real, server) in self.service.reals.iter().zip(&mut self.servers) {
            if let Leave::Until(until) = server.leave
                && is_over(&real.at, until, !server.dirty)
            {
                (server.leave, server.dirty) = (Leave::Over, true);
            }
        }
        for (at, departing) in &mut self.departing {
            if !departing.over && is_over(at, departing.until, !departing.dirty) {
                (departing.over, departing.dirty) = (true, true);
            }
        }
        if self.is_dirty() {
            self.retry.at = None;
        }
        self.look = self.waits().then_some(now + LOOK);
    }

    /// Servers that came back to the file, as servers or as the fallback, are such again; without a `draintimeout` nobody is waited for.
    pub(super) fn forget_departures(&mut self) {
        if self.service.extensions.drain_timeout.is_none() {
            self.departing.clear();
            self.look = None;
            for server in &mut self.servers {
                server.leave = Leave::Stays;
            }
        }
        let (reals, fallback) = (&self.service.reals, self.service.fallback.map(|fallback| fallback.at));
        self.departing.retain(|&at, _| Some(at) != fallback && !reals.iter().any(|real| real.at == at));
    }
}
