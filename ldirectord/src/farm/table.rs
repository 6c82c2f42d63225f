//! The farm and the kernel's table: from verdicts to changes, and from results back.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use lvs::ipvs::{Change, Refusal, ServiceKey, Table, diff};

use super::leaving::Leave;
use super::{Farm, Held};
use crate::config::model::Check;
use crate::notice::{Notice, Occasion, ServerName};
use crate::wanted::{Claim, Departure, Intent, Place, Target};

/// Changes that are being carried out.
#[derive(Debug)]
pub(super) struct Batch {
    /// For each change, the line if it succeeds.
    lines: Vec<Option<(Order, Notice)>>,
    asserted: Vec<Asserted>,
    retired: Vec<ServiceKey>,
    generation: u64,
}

/// Services, then each service's servers, then services that go.
type Order = (u8, usize, Place);

/// What a batch wants to achieve for one virtual.
#[derive(Debug)]
struct Asserted {
    v: usize,
    define: bool,
    purge: bool,
    servers: Vec<(usize, Target)>,
    departing: Vec<(SocketAddr, Departure)>,
    fallback: Option<bool>,
}

/// A batch is under way: its results have to be settled first.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("changes are being carried out")]
pub struct Occupied;

impl Farm {
    /// Takes the live table and says what to change. Servers that it holds with a weight are
    /// adopted before anything was found out about them (spec 7.2, T15). The results are
    /// awaited by [`Farm::settle`] unless there are no changes.
    ///
    /// # Errors
    /// While the results of the batch before are awaited.
    pub fn plan(&mut self, now: Instant, live: &Table) -> Result<Vec<Change>, Occupied> {
        if self.batch.is_some() {
            return Err(Occupied);
        }
        self.seen = true;
        self.disturb();
        let first = self.generation == 1;
        for held in &mut self.virtuals {
            held.adopt(live, first);
            if held.is_due(now) && !live.contains_key(&held.service.key) {
                // New, or somebody removed it: it is made whole.
                held.assert_everything();
            }
            held.begin_leaving(now, live.get(&held.service.key));
        }
        let (mut concerned, mut wanted) = (Table::new(), Table::new());
        let (mut asserted, mut intents) = (Vec::new(), BTreeMap::new());
        for (v, held) in self.virtuals.iter().enumerate().filter(|(_, held)| held.is_due(now)) {
            let (key, intent) = (held.service.key, held.intent(self.readd_quiescent));
            let found = live.get(&key);
            wanted.insert(key, intent.wanted(found));
            concerned.extend(found.map(|found| (key, found.clone())));
            asserted.push(held.asserted(v));
            intents.insert(key, (v, intent));
        }
        let due = self.retired.iter().filter(|(_, retired)| retired.retry.is_due(now));
        let retired: Vec<_> = due.map(|(&key, _)| key).collect();
        concerned.extend(retired.iter().filter_map(|key| live.get(key).map(|found| (*key, found.clone()))));
        let changes = diff(&concerned, &wanted);
        let line = |change: &Change| -> Option<(Order, Notice)> {
            let key = key_of(change)?;
            if let Some((v, intent)) = intents.get(&key) {
                let (place, notice) = intent.notice(change)?;
                return Some(((u8::from(place != Place::Service), *v, place), notice));
            }
            let service = self.retired.get(&key)?.name.clone();
            Some(((2, 0, Place::Service), Notice::VirtualPurged { service, occasion: Occasion::Start }))
        };
        let lines = changes.iter().map(line).collect();
        self.batch = Some(Batch { lines, asserted, retired, generation: self.generation });
        if changes.is_empty() {
            // Nothing to say: everything is as it should be.
            let _ = self.settle(now, Vec::new());
        }
        Ok(changes)
    }

    /// Takes the results of the changes of the last [`Farm::plan`], one for each. What was refused
    /// stays to be done, after a pause; only what was carried out is told as done.
    #[must_use]
    pub fn settle(&mut self, now: Instant, results: Vec<Result<(), Refusal>>) -> Vec<Notice> {
        let Some(batch) = self.batch.take() else { return Vec::new() };
        self.disturb();
        let mut lines: Vec<_> = batch.lines.into_iter().zip(&results).filter(|(_, r)| r.is_ok()).collect();
        lines.sort_by_key(|(line, _)| line.as_ref().map(|(order, _)| *order));
        let mut notices: Vec<_> = lines.into_iter().filter_map(|(line, _)| Some(line?.1)).collect();
        if batch.generation != self.generation {
            return notices;
        }
        let mut refusals: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        // A server of a service that could not be made is no news of its own.
        let without = |refusal: &Refusal| match &*refusal.change {
            Change::AddService(key, _) => Some(*key),
            _ => None,
        };
        let missing: Vec<_> = refusals.iter().filter_map(without).collect();
        refusals.retain(|refusal| {
            without(refusal).is_some() || key_of(&refusal.change).is_none_or(|key| !missing.contains(&key))
        });
        for asserted in &batch.asserted {
            let held = &mut self.virtuals[asserted.v];
            let key = held.service.key;
            let of_this: Vec<_> =
                refusals.iter().filter(|refusal| key_of(&refusal.change) == Some(key)).cloned().collect();
            held.settle(now, asserted, of_this, missing.contains(&key), &mut notices);
        }
        for key in batch.retired {
            let refusal = refusals.iter().find(|refusal| key_of(&refusal.change) == Some(key));
            match (refusal, self.retired.get_mut(&key)) {
                (Some(refusal), Some(retired)) => {
                    if retired.refusal.as_ref() != Some(refusal) {
                        let service = retired.name.clone();
                        notices.push(Notice::Refused { service, refusal: refusal.clone() });
                    }
                    retired.refusal = Some(refusal.clone());
                    retired.retry.later(now);
                }
                (None, _) => {
                    self.retired.remove(&key);
                }
                (Some(_), None) => {}
            }
        }
        notices
    }

    /// The table could not be reached: nothing is known about the batch. Everything in it stays to
    /// be done.
    pub fn lost(&mut self) {
        self.batch = None;
    }

    /// Whether anything should leave the table as the program stops.
    #[must_use]
    pub fn has_to_tidy_up(&self) -> bool {
        self.virtuals.iter().any(|held| held.service.clean_stop)
    }

    /// What to change as the program stops, with the line for each change (spec 7.7). Services that
    /// should stay (`cleanstop=no`) and what is not in the table are left out.
    #[must_use]
    pub fn farewell(&self, live: &Table) -> Vec<(Change, Notice)> {
        let mut changes = Vec::new();
        for held in self.virtuals.iter().filter(|held| held.service.clean_stop) {
            let key = held.service.key;
            let Some(found) = live.get(&key) else { continue };
            for (real, server) in held.service.reals.iter().zip(&held.servers) {
                if server.verdict.passes() && found.destinations.contains_key(&real.at) {
                    let (service, name) = (held.name.clone(), ServerName::real(real));
                    let notice = Notice::RealPurged { service, real: name, occasion: Occasion::Stop };
                    changes.push((Change::DeleteDestination(key, real.at), notice));
                }
            }
            let notice = Notice::VirtualPurged { service: held.name.clone(), occasion: Occasion::Stop };
            changes.push((Change::DeleteService(key), notice));
        }
        changes
    }
}

impl Held {
    /// At start and after a reload, servers that the table holds with a weight count as up until
    /// a check says otherwise. After a reload (not the `first` file) nobody's weight is news.
    fn adopt(&mut self, live: &Table, first: bool) {
        if !self.purge {
            return;
        }
        let found = live.get(&self.service.key);
        for r in 0..self.servers.len() {
            let at = self.service.reals[r].at;
            let found = found.and_then(|found| found.destinations.get(&at));
            let weight = found.map(|found| found.weight).filter(|&weight| weight > 0);
            if let Some(weight) = weight.filter(|_| first) {
                self.keep_weight(r, weight);
            }
            let serves = weight.is_some();
            let off = self.service.reals[r].check == Check::Off;
            self.update(r, |server| {
                if serves {
                    server.verdict.adopt();
                } else if off && server.verdict.is_unknown() {
                    server.verdict.give_up();
                    server.fresh = true;
                }
            });
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.is_dirty() && self.retry.is_due(now)
    }

    fn intent(&self, readd_quiescent: bool) -> Intent<'_> {
        let claim = |(r, server): (usize, &super::Server)| Claim {
            target: self.target(r),
            assert: server.dirty,
            insert: (server.fresh || readd_quiescent) && server.leave == Leave::Stays,
        };
        Intent {
            service: &self.service,
            define: self.define,
            purge: self.purge,
            servers: self.servers.iter().enumerate().map(claim).collect(),
            departing: self.departing.iter().map(|(&at, departing)| (at, departing.asks_for())).collect(),
            fallback_serves: self.fallback_serves,
            fallback_assert: self.fallback_dirty && !self.fallback_waits(),
            readd_quiescent,
        }
    }

    fn asserted(&self, v: usize) -> Asserted {
        let dirty = self.servers.iter().enumerate().filter(|(_, server)| server.dirty);
        Asserted {
            v,
            define: self.define,
            purge: self.purge,
            servers: dirty.map(|(r, _)| (r, self.target(r))).collect(),
            departing: self.departing.iter().map(|(&at, departing)| (at, departing.asks_for())).collect(),
            fallback: (self.fallback_dirty && !self.fallback_waits()).then_some(self.fallback_serves),
        }
    }

    /// Ticks off what was achieved and is still wanted.
    fn settle(
        &mut self,
        now: Instant,
        asserted: &Asserted,
        refusals: Vec<Refusal>,
        missing: bool,
        notices: &mut Vec<Notice>,
    ) {
        let refused = |wanted: &dyn Fn(&Change) -> bool| missing || refusals.iter().any(|r| wanted(&r.change));
        let refused_server = |at| refused(&|change| server_of(change) == Some(at));
        if asserted.define && !refused(&|change| server_of(change).is_none()) {
            self.define = false;
        }
        if asserted.purge && refusals.is_empty() && !missing {
            self.purge = false;
        }
        for &(r, target) in &asserted.servers {
            if self.target(r) == target && !refused_server(self.service.reals[r].at) {
                (self.servers[r].dirty, self.servers[r].fresh) = (false, false);
            }
        }
        for &(at, departure) in asserted.departing.iter().filter(|(at, _)| !refused_server(*at)) {
            if departure == Departure::Delete {
                self.departing.remove(&at);
            } else if let Some(departing) = self.departing.get_mut(&at).filter(|it| it.asks_for() == departure) {
                departing.dirty = false;
            }
        }
        if let (Some(serves), Some(fallback)) = (asserted.fallback, &self.service.fallback)
            && serves == self.fallback_serves
            && !refused_server(fallback.at)
        {
            self.fallback_dirty = false;
        }
        for refusal in refusals.iter().filter(|refusal| !self.refusals.contains(refusal)) {
            notices.push(Notice::Refused { service: self.name.clone(), refusal: refusal.clone() });
        }
        if refusals.is_empty() {
            self.retry = super::Retry::default();
        } else {
            self.retry.later(now);
        }
        self.refusals = refusals;
    }
}

fn key_of(change: &Change) -> Option<ServiceKey> {
    match change {
        Change::AddService(key, _)
        | Change::EditService(key, _)
        | Change::DeleteService(key)
        | Change::AddDestination(key, ..)
        | Change::EditDestination(key, ..)
        | Change::DeleteDestination(key, _) => Some(*key),
        Change::Zero(_) | Change::Flush | Change::SetTimeouts(_) | Change::StartDaemon(_) | Change::StopDaemon(_) => {
            None
        }
    }
}

fn server_of(change: &Change) -> Option<SocketAddr> {
    match change {
        Change::AddDestination(_, at, _) | Change::EditDestination(_, at, _) | Change::DeleteDestination(_, at) => {
            Some(*at)
        }
        _ => None,
    }
}
