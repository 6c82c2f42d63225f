//! What an old heartbeat is told of a group that cannot be stopped here. It has no word for it: it starts what it was
//! given on `done` and `shutdone`, whatever became of the stop (spec 6.5), and what a node says to hold it leaves alone. So
//! neither is said, and the bag is said to be held here.

use std::time::Instant;

use super::super::bags::Bags;
use super::super::{Effect, Peer, State, Takeover, Why};
use super::{Stage, Standby};
use crate::core::notice::Notice;
use crate::core::plan::GroupId;

impl Takeover {
    fn bag_of(&self, group: GroupId) -> Bags {
        match self.units.get(group.0) {
            Some(unit) if unit.home => Bags::LOCAL,
            Some(_) => Bags::FOREIGN,
            None => Bags::NONE,
        }
    }

    fn speaks_in_bags(&self) -> bool {
        self.peer == Peer::Old && !self.is_legacy() && self.active && !self.letting_go
    }

    /// Whether something of these bags cannot be stopped.
    pub(super) fn has_stuck(&self, bags: Bags) -> bool {
        self.units_stuck().any(|unit| bags.takes(unit.home))
    }

    /// A group could not be stopped.
    pub(in crate::core::takeover) fn classic_stuck(&mut self, now: Instant, group: GroupId, fx: &mut Vec<Effect>) {
        let bag = self.bag_of(group);
        if self.speaks_in_bags() && !self.classic.held.has(bag) {
            self.classic.held = self.classic.held.with(bag);
            self.classic_tell(now, false, None, fx);
        }
    }

    /// What is held because it cannot be stopped.
    pub(super) fn stuck_bags(&self) -> Bags {
        let stuck = self.units.iter().enumerate().filter(|(_, unit)| unit.state == State::Stuck);
        stuck.fold(Bags::NONE, |bags, (at, _)| bags.with(self.bag_of(GroupId(at))))
    }

    /// A new life begins with what could not be stopped in the one before.
    pub(in crate::core::takeover) fn classic_begin_stuck(&mut self) {
        self.classic.held = self.stuck_bags();
    }

    /// A group has been stopped. If its bag is held here all the same, it was stuck, or an earlier life had left it: now it
    /// is started again, unless this node leaves.
    pub(in crate::core::takeover) fn classic_freed(&mut self, now: Instant, group: GroupId, fx: &mut Vec<Effect>) {
        let bag = self.bag_of(group);
        if !self.classic.held.has(bag) || self.has_stuck(bag) {
            return;
        }
        if !self.active {
            // A start goes its usual way from here.
            self.classic.held = self.classic.held.without(bag);
        }
        if !self.speaks_in_bags() {
            return;
        }
        match self.classic.standby {
            Standby::Releasing { set, .. } if set.has(bag) => {}
            _ if self.leaving && self.classic.stage == Stage::Shutdown => {
                self.classic.held = self.classic.held.without(bag);
                self.classic_tell(now, false, Some("shutdown"), fx);
            }
            _ if self.leaving => {}
            _ if self.units.get(group.0).is_some_and(|unit| unit.failed) => self.classic_start_failed(group),
            _ => self.classic_acquire(bag, Why::Vacant, fx),
        }
    }

    /// Before `done`: what was stuck is not held any more.
    pub(super) fn classic_tell_freed(&mut self, now: Instant, set: Bags, fx: &mut Vec<Effect>) {
        let rest = self.classic.held.without(set);
        if rest != self.classic.held {
            self.classic.held = rest;
            self.classic_tell(now, false, Some("standby"), fx);
        }
    }

    /// It has waited for its hour, and gives up: so do we, or it would not understand what is said next.
    pub(super) fn classic_tick_stuck(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        if let Standby::Releasing { set, until } = self.classic.standby
            && until <= now
            && self.has_stuck(set)
        {
            fx.push(Effect::Note(Notice::StandbyCancelled));
            self.classic.standby = Standby::Not;
            self.classic.other_stable = true;
            self.classic_tell(now, true, None, fx);
        }
    }
}
