//! A group that cannot be stopped here, where there are three nodes or more: as between two
//! ([`takeover`](crate::core::takeover)).

use std::time::Instant;

use super::{Cluster, Member, Share};
use crate::core::notice::Notice;
use crate::core::plan::GroupId;
use crate::core::takeover::{Effect, Heir, State, Which, Why, Word, says_stuck};

impl Cluster {
    /// An earlier life of this program has left something of the group running, which is being stopped.
    pub fn stopping(&mut self, group: GroupId) {
        if let Some(Share { unit, .. }) = self.shares.get_mut(group.0).filter(|share| share.unit.state == State::Free) {
            unit.state = State::Releasing;
        }
    }

    /// The stop of a group has ended, or the undoing of its start, and something of it still runs here.
    pub fn stuck(&mut self, now: Instant, group: GroupId, fx: &mut Vec<Effect>) {
        let key = self.key(group);
        let Some(Share { unit, to, .. }) = self.shares.get_mut(group.0) else { return };
        let started = unit.state == State::Acquiring;
        let Some(pause) = unit.sticks(now) else { return };
        *to = None;
        if started {
            fx.push(Effect::Note(Notice::StartFailed { group: key.clone() }));
        }
        fx.push(Effect::Note(Notice::Stuck { group: key.clone(), again_s: pause.as_secs() }));
        let heir = self.heir();
        self.resort.to(key, heir, self.letting_go, fx);
        self.settle(now, fx);
    }

    /// Who could take over, at best.
    fn heir(&self) -> Heir {
        let heirs = self.members.iter().filter_map(Member::word).map(Heir::of);
        heirs.max().filter(|_| !self.maintenance).unwrap_or(Heir::Nobody)
    }

    /// Tries to stop a stuck group once more, now.
    pub(super) fn stop_again(&mut self, id: GroupId, fx: &mut Vec<Effect>) {
        if let Some(Share { unit, .. }) = self.shares.get_mut(id.0).filter(|share| share.unit.is_stuck_for_now()) {
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
        for at in 0..self.shares.len() {
            if self.shares[at].unit.stop_at.is_some_and(|due| due <= now) {
                self.stop_again(GroupId(at), fx);
            }
        }
    }

    /// Whether a node that comes back as a new life has still to let go of something before.
    pub fn is_letting_go(&self) -> bool {
        let units = self.shares.iter().map(|share| &share.unit);
        units.filter(|unit| unit.is_here()).any(|unit| unit.state != State::Stuck || self.resort.is_silent())
    }

    /// Another node where a group is stuck.
    fn stuck_member(&self, group: GroupId) -> Option<&Member> {
        let says = |member: &&Member| says_stuck(member.word().and_then(|word| self.said(word, group)).copied());
        self.members.iter().find(says)
    }

    pub(super) fn is_stuck_elsewhere(&self, group: GroupId) -> bool {
        self.stuck_member(group).is_some()
    }

    /// The node where a group is stuck.
    pub fn stuck_at(&self, group: GroupId) -> Option<&str> {
        if self.state(group) == Some(State::Stuck) {
            return Some(&self.me);
        }
        self.stuck_member(group).map(|member| member.name.as_str())
    }

    /// Told when another node begins to say it.
    pub(super) fn note_stuck(&self, at: usize, word: &Word, fx: &mut Vec<Effect>) {
        let Some(member) = self.members.get(at) else { return };
        for (id, group) in self.plan.iter() {
            let before = member.word().and_then(|word| self.said(word, id)).copied();
            if says_stuck(self.said(word, id).copied()) && !says_stuck(before) {
                fx.push(Effect::Note(Notice::PeerStuck { group: group.key.clone(), node: member.name.clone() }));
            }
        }
    }
}
