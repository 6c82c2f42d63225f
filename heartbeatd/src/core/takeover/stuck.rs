//! A group that cannot be stopped here (fault 24): the stop was tried again and again, and its resource says that it
//! still runs.
//!
//! Started on another node it would run twice, which no file system survives. So it is given to nobody, every node is
//! told that it is stuck here, and the stop is tried again, less and less often, until it works. What else is done is for
//! `stop_failure` in lvs.toml to say, and only while there is somebody who could take over:
//!
//! - `freeze`: nothing. The groups that can be stopped move as ever.
//! - `reboot`: this machine reboots at once, as the original does.
//! - `fence`: this node lets go of what it can and falls silent, so that another one fences it; not before one says that
//!   it has a device.

use std::time::Instant;

use lvs::settings::StopFailure;

use super::{Effect, Peer, Said, State, Takeover, Unit, Which, Why, Word};
use crate::core::notice::Notice;
use crate::core::plan::GroupId;

/// What the end of a stop is told as.
pub(crate) fn end_of_stop(group: String, ok: bool, was_stuck: bool) -> Notice {
    match (ok, was_stuck) {
        (true, false) => Notice::Released { group },
        (true, true) => Notice::Unstuck { group },
        (false, true | false) => Notice::StopFailed { group },
    }
}

/// Who could take over from this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Heir {
    Nobody,
    Takes,
    /// And could switch this node off before.
    Fences,
}

impl Heir {
    /// What a node that says this could do.
    pub fn of(word: &Word) -> Self {
        match (word.active && !word.maintenance, word.fencing.devices) {
            (false, _) => Self::Nobody,
            (true, false) => Self::Takes,
            (true, true) => Self::Fences,
        }
    }
}

/// What is done about groups that cannot be stopped, besides waiting.
#[derive(Debug)]
pub(crate) struct Resort {
    wanted: StopFailure,
    /// Nothing is said before all of them have been stopped, so that another node fences this one.
    silence: bool,
}

impl Resort {
    pub fn new(wanted: StopFailure) -> Self {
        Self { wanted, silence: false }
    }

    pub fn begin_life(&mut self) {
        self.silence = false;
    }

    /// Whether a new life waits until nothing is stuck any more.
    pub fn is_silent(&self) -> bool {
        self.silence
    }

    /// That group cannot be stopped. `letting_go`: of the rest, already.
    pub fn to(&mut self, group: String, heir: Heir, letting_go: bool, fx: &mut Vec<Effect>) {
        match self.wanted {
            _ if heir == Heir::Nobody => {}
            StopFailure::Freeze => {}
            StopFailure::Reboot => {
                fx.push(Effect::Note(Notice::StuckReboots { group: group.clone() }));
                fx.push(Effect::Reboot(group));
            }
            StopFailure::Fence if self.silence => {}
            StopFailure::Fence if heir != Heir::Fences => fx.push(Effect::Note(Notice::StuckUnfenced { group })),
            StopFailure::Fence => {
                fx.push(Effect::Note(Notice::StuckIsFenced { group }));
                self.silence = true;
                if !letting_go {
                    fx.push(Effect::ComeBack);
                }
            }
        }
    }
}

/// Whether a node says that a group is stuck there.
pub(crate) fn says_stuck(said: Option<Said>) -> bool {
    said.is_some_and(|said| said.state == State::Stuck)
}

impl Takeover {
    /// An earlier life of this program has left something of the group running, which is being stopped.
    pub fn stopping(&mut self, group: GroupId) {
        if let Some(unit) = self.units.get_mut(group.0).filter(|unit| unit.state == State::Free) {
            unit.state = State::Releasing;
        }
    }

    /// The stop of a group has ended, or the undoing of its start, and something of it still runs here.
    pub fn stuck(&mut self, now: Instant, group: GroupId, fx: &mut Vec<Effect>) {
        let Some(unit) = self.units.get_mut(group.0) else { return };
        let started = unit.state == State::Acquiring;
        let Some(pause) = unit.sticks(now) else { return };
        let key = self.plan.get(group).map(|group| group.key.clone()).unwrap_or_default();
        if started {
            fx.push(Effect::Note(Notice::StartFailed { group: key.clone() }));
        }
        fx.push(Effect::Note(Notice::Stuck { group: key.clone(), again_s: pause.as_secs() }));
        self.classic_stuck(now, group, fx);
        let heir = self.heir();
        self.resort.to(key, heir, self.letting_go, fx);
        self.classic_worked(now, fx);
        self.settle(now, fx);
    }

    /// Who could take over.
    fn heir(&self) -> Heir {
        match &self.peer {
            _ if self.maintenance => Heir::Nobody,
            Peer::Ours(word) => Heir::of(word),
            Peer::Old => Heir::Takes,
            Peer::Unknown | Peer::Unfenced | Peer::Gone(_) => Heir::Nobody,
        }
    }

    /// Tries to stop a stuck group once more, now.
    pub(super) fn stop_again(&mut self, id: GroupId, fx: &mut Vec<Effect>) {
        if let Some(unit) = self.units.get_mut(id.0).filter(|unit| unit.is_stuck_for_now()) {
            unit.stop_at = None;
            fx.push(Effect::Release(id, Why::Stuck));
        }
    }

    /// The operator wants them away: whether anybody could take them or not, it is tried at once.
    pub(super) fn stop_all_again(&mut self, which: Which, fx: &mut Vec<Effect>) {
        let chosen: Vec<GroupId> = self.chosen(which).collect();
        chosen.into_iter().for_each(|id| self.stop_again(id, fx));
    }

    /// Also while nothing is said.
    pub fn tick_stuck(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        for at in 0..self.units.len() {
            if self.units[at].stop_at.is_some_and(|due| due <= now) {
                self.stop_again(GroupId(at), fx);
            }
        }
    }

    /// Whether a node that comes back as a new life has still to let go of something before.
    pub fn is_letting_go(&self) -> bool {
        self.units.iter().any(|unit| unit.is_here() && (unit.state != State::Stuck || self.resort.is_silent()))
    }

    /// The node where a group is stuck.
    pub fn stuck_at(&self, group: GroupId) -> Option<&str> {
        if self.state(group) == Some(State::Stuck) {
            return Some(&self.me);
        }
        says_stuck(self.said(group)).then_some(self.other.as_str())
    }

    /// Told when the other node begins to say it.
    pub(super) fn note_stuck(&self, word: &Word, fx: &mut Vec<Effect>) {
        let before = |tag| match &self.peer {
            Peer::Ours(before) => before.groups.iter().find(|said| said.tag == tag).copied(),
            Peer::Unknown | Peer::Old | Peer::Unfenced | Peer::Gone(_) => None,
        };
        for (group, &tag) in self.plan.iter().map(|(_, group)| group).zip(self.plan.tags()) {
            let now = word.groups.iter().find(|said| said.tag == tag).copied();
            if says_stuck(now) && !says_stuck(before(tag)) {
                fx.push(Effect::Note(Notice::PeerStuck { group: group.key.clone(), node: self.other.clone() }));
            }
        }
    }

    pub(super) fn units_stuck(&self) -> impl Iterator<Item = &Unit> {
        self.units.iter().filter(|unit| unit.state == State::Stuck)
    }
}
