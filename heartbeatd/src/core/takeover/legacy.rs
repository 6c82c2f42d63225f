//! The other node is heartbeat 3.0.6 with `auto_failback legacy`, its oldest protocol
//! (spec/heartbeat.md 6.8): whoever comes up asks for each of its own groups by name, and the
//! other one lets it go and says so. Nothing else is ever said about groups.
//!
//! Which of its two protocols an old heartbeat speaks cannot be heard before it is too late, so
//! both nodes' files have to say it. Two heartbeatd have no use for it: between them `legacy`
//! means `on`.
//!
//! The original asks once, and a group whose answer got lost stays down for good; here it is
//! asked for again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::wire::Body;

use super::bags::Bags;
use super::{Effect, Peer, REPLY_WITHIN, State, Takeover, Why};
use crate::core::notice::Notice;
use crate::core::plan::GroupId;

/// What is under way.
#[derive(Debug, Default)]
pub(crate) struct Legacy {
    /// Both files have `auto_failback legacy`, or nothing, which is the same.
    on: bool,
    /// It was active before we were: what is ours, it has.
    established: bool,
    /// Our groups that it was asked for, and until when an answer is waited for.
    asked: BTreeMap<GroupId, Instant>,
    /// Its groups that it waits for while we let them go.
    owed: BTreeSet<GroupId>,
}

impl Legacy {
    pub fn new(on: bool) -> Self {
        Self { on, ..Self::default() }
    }

    /// Another life, ours or the other's: nobody waits for anything.
    pub fn begin(&mut self, established: bool) {
        *self = Self { on: self.on, established, ..Self::default() };
    }

    pub fn is_stable(&self) -> bool {
        self.asked.is_empty() && self.owed.is_empty()
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.asked.values().min().copied()
    }
}

impl Takeover {
    /// Whether the old protocol is spoken now.
    pub(super) fn is_legacy(&self) -> bool {
        self.peer == Peer::Old && self.legacy.on
    }

    /// Whether an old heartbeat, should there be one, speaks it.
    pub(super) fn expects_legacy(&self) -> bool {
        self.legacy.on
    }

    /// Whether it has a group, as far as anybody can know: its own always, ours until it has let go.
    pub(super) fn legacy_other_holds(&self, at: usize) -> bool {
        let unit = |unit: &super::Unit| !unit.is_here() && (!unit.home || self.legacy.established);
        self.units.get(at).is_some_and(unit)
    }

    pub(super) fn legacy_said(&mut self, now: Instant, body: &Body, fx: &mut Vec<Effect>) {
        match body {
            Body::IpRequest { key } => self.legacy_asked(key, fx),
            Body::IpRequestResp { dest, key, ok, .. } if *dest == self.other => self.legacy_taken(key, *ok, fx),
            Body::IpRequestResp { dest, .. } if *dest != self.me => {}
            Body::IpRequestResp { key, ok, we_own, .. } => self.legacy_answered(key, *ok, *we_own, fx),
            Body::AskResources { phase, .. } => {
                let (phase, node) = (phase.as_str(), self.other.clone());
                let why = "Standby mode only implemented when nice_failback on";
                fx.push(Effect::Note(Notice::StandbyIgnored { phase, node, why }));
            }
            Body::Status { .. }
            | Body::Ack { .. }
            | Body::Rexmit { .. }
            | Body::NakRexmit { .. }
            | Body::ReqNodes { .. }
            | Body::RepNodes { .. }
            | Body::Starting
            | Body::Resource { .. }
            | Body::HbTakeover { .. }
            | Body::Shutdone
            | Body::Stonith { .. }
            | Body::Client { .. }
            | Body::Unknown { .. } => {}
        }
        self.legacy_tick(now, fx);
    }

    fn legacy_answer(&self, key: &str, we_own: bool, ok: bool, fx: &mut Vec<Effect>) {
        fx.push(Effect::Say(Body::IpRequestResp { dest: self.other.clone(), key: key.to_owned(), we_own, ok }));
    }

    /// It is up and wants what it calls its own.
    fn legacy_asked(&mut self, key: &str, fx: &mut Vec<Effect>) {
        let Some(id) = self.plan.find(key) else { return self.legacy_answer(key, false, true, fx) };
        let Some(unit) = self.units.get_mut(id.0) else { return };
        match unit.state {
            // The files differ, and both nodes would run it for good.
            _ if unit.home => {
                let is_here = unit.is_here();
                self.legacy_answer(key, is_here, false, fx);
            }
            State::Free | State::Claiming => self.legacy_answer(key, false, true, fx),
            State::Acquiring | State::Releasing => {
                unit.give = Some(Why::Failback);
                self.legacy.owed.insert(id);
            }
            State::Held | State::Offering => {
                self.legacy.owed.insert(id);
                self.release(id, Why::Failback, fx);
            }
            State::Stuck => self.legacy_answer(key, true, false, fx),
        }
    }

    /// It tells itself to take a group: it has not heard us when its communication came up, and asks nobody.
    fn legacy_taken(&mut self, key: &str, ok: bool, fx: &mut Vec<Effect>) {
        let Some(id) = self.plan.find(key).filter(|_| ok) else { return };
        match self.units.get(id.0).filter(|unit| !unit.home).map(|unit| unit.state) {
            Some(State::Held | State::Offering) => self.release(id, Why::Failback, fx),
            Some(State::Acquiring) => self.units[id.0].give = Some(Why::Failback),
            Some(State::Free | State::Claiming | State::Releasing | State::Stuck) | None => {}
        }
    }

    /// It has let go of a group of ours, or never had it.
    fn legacy_answered(&mut self, key: &str, ok: bool, we_own: bool, fx: &mut Vec<Effect>) {
        let Some(id) = self.plan.find(key).filter(|_| ok) else { return };
        if self.legacy.asked.remove(&id).is_none() || self.leaving {
            return;
        }
        if self.state(id) == Some(State::Free) {
            self.acquire(id, if we_own { Why::Failback } else { Why::Vacant }, fx);
        }
        if self.legacy.asked.is_empty() {
            self.legacy.established = false;
        }
    }

    /// Some work has ended.
    pub(super) fn legacy_worked(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        for id in self.legacy.owed.clone() {
            match self.state(id) {
                Some(State::Free | State::Claiming) => {
                    self.legacy.owed.remove(&id);
                    let key = self.plan.get(id).map(|group| group.key.clone()).unwrap_or_default();
                    self.legacy_answer(&key, true, true, fx);
                }
                Some(State::Held | State::Offering) => self.release(id, Why::Failback, fx),
                // It asks again, and has it when it can be stopped.
                Some(State::Stuck) => {
                    self.legacy.owed.remove(&id);
                    let key = self.plan.get(id).map(|group| group.key.clone()).unwrap_or_default();
                    self.legacy_answer(&key, true, false, fx);
                }
                Some(State::Acquiring | State::Releasing) | None => {}
            }
        }
        self.legacy_tick(now, fx);
    }

    /// Asks for what is at home here and does not run: when this node is ready, unless both start and
    /// nobody has anything that could be worse off.
    pub(super) fn legacy_tick(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        let may = self.active
            && !(self.leaving || self.letting_go || self.maintenance)
            && (self.ready || !self.legacy.established);
        if !may {
            return self.legacy.asked.clear();
        }
        for (id, group) in self.plan.iter() {
            let waits = self
                .units
                .get(id.0)
                .is_some_and(|unit| unit.home && unit.state == State::Free && unit.retry_at.is_none_or(|at| at <= now));
            if !waits {
                self.legacy.asked.remove(&id);
            } else if self.legacy.asked.get(&id).is_none_or(|until| *until <= now) {
                self.legacy.asked.insert(id, now + REPLY_WITHIN);
                fx.push(Effect::Say(Body::IpRequest { key: group.key.clone() }));
            }
        }
    }

    /// Orderly stop: everything is let go, and `shutdone` says so.
    pub(super) fn legacy_leave(&mut self, fx: &mut Vec<Effect>) {
        self.legacy.asked.clear();
        self.classic_release(Bags::ALL, Why::Stop, fx);
    }
}
