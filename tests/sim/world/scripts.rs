//! Scripts that hang, that cannot be stopped, and that an earlier life of the daemon has left running.

use heartbeatd::core::{Event, GroupId};

use super::{Item, World};
use crate::profile::{S, Time};

/// From the beginning of the quiet on, until the last stop was tried again: the second pause and the work.
const STUCK_AT_MOST: Time = 25 * S;

impl World {
    /// Whether a script of the group will have to be killed; one without scripts may overlap.
    pub(super) fn hangs(&mut self, group: GroupId) -> bool {
        !self.profile.groups[group.0].1
            && self.now < self.profile.quiet_from
            && self.chance.percent(self.profile.hanging)
    }

    /// Whether something of the group still runs after its stop.
    pub(super) fn sticks(&mut self, group: GroupId) -> bool {
        let may = self.profile.sticking > 0 && !self.profile.groups[group.0].1 && self.now < self.profile.quiet_from;
        let sticks = may && self.chance.percent(self.profile.sticking);
        if sticks {
            self.check.start_fails(self.profile.quiet_from + STUCK_AT_MOST);
        }
        sticks
    }

    /// Only the scripts of a machine that kept its power can still run.
    pub(super) fn stop_leftover(&mut self, node: usize, group: GroupId) {
        if !self.machines[node].scripts[group.0] {
            return;
        }
        self.turn(node, |core, now| core.handle(now, Event::Stopping { group }));
        let life = self.machines[node].life;
        let after = self.chance.between(self.profile.work);
        let event = if self.sticks(group) { Event::Stuck { group } } else { Event::Released { group, ok: true } };
        // Nobody may have it before.
        self.check.disturbed(self.now + after);
        self.push(self.now + after, Item::Done { node, life, event });
    }
}
