//! What is to be given to an old heartbeat as soon as both are stable.

use std::time::Instant;

use super::super::bags::Bags;
use super::super::{Effect, Peer, Takeover};
use super::{Stage, Standby, TRY_AGAIN};
use crate::core::plan::GroupId;

impl Takeover {
    /// Spec 6.6b, and what could not be started here (fault 4: the original leaves it down on both).
    pub(super) fn classic_give_pending(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        if self.maintenance {
            return;
        }
        let due = |bag: &Bags| self.classic.pending.has(*bag) && self.classic.held.has(*bag);
        let Some(set) = [Bags::LOCAL, Bags::FOREIGN].into_iter().find(due) else { return };
        match self.classic_give(now, set, fx) {
            Ok(()) => {
                self.classic.pending = self.classic.pending.without(set);
                self.classic.again_at = None;
            }
            Err(_) => self.classic.again_at = Some(now + TRY_AGAIN),
        }
    }

    /// What maintenance has kept from being done.
    pub(in crate::core::takeover) fn classic_after_maintenance(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        if self.is_legacy() {
            return self.legacy_tick(now, fx);
        }
        if self.classic.stage == Stage::Stable && self.classic.standby == Standby::Not {
            self.classic_acquire_own(fx);
            self.classic_give_pending(now, fx);
        }
    }

    /// A group of a bag could not be started here: if nothing of the bag runs, it moves.
    pub(in crate::core::takeover) fn classic_start_failed(&mut self, group: GroupId) {
        if self.is_legacy() {
            return; // Nobody can be asked to take it: it is tried again.
        }
        if self.peer != Peer::Old {
            return;
        }
        let Some(home) = self.units.get(group.0).map(|unit| unit.home) else { return };
        if !self.units.iter().any(|unit| unit.home == home && unit.is_here()) {
            let bag = if home { Bags::LOCAL } else { Bags::FOREIGN };
            self.classic.pending = self.classic.pending.with(bag);
        }
    }
}
