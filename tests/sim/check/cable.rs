//! Rule 7: no client finds two owners when a cable is in again.

use heartbeatd::core::State;

use super::{Check, MOST_GROUPS, Sight};
use crate::profile::{MOST_NODES, S, Time};

/// A node's cable, whatever becomes of the node.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cable {
    pub(super) out: Option<Time>,
    /// When it was plugged in again after longer than deadtime, and how many messages had been lost by then.
    back: Option<(Time, u64)>,
    /// When it was pulled: who has begun since has not heard which tenancy it was.
    pulled: Time,
    /// What others had as well when it was pulled.
    shared: [[bool; MOST_GROUPS]; MOST_NODES],
    /// Only that of the addresses is out: its node is heard.
    pub(super) card: bool,
    /// When it was plugged in again, the last time.
    plugged: Option<Time>,
    /// It was counted that the rule was asked since it was plugged in.
    judged: bool,
    /// What others had when it was plugged in, and have.
    theirs: [[bool; MOST_GROUPS]; MOST_NODES],
}

impl Cable {
    /// Whether its node is heard and knows that its card has been dead for `patience`, by its clock that `leapt` then. One that
    /// wakes `now` knows what it did when it fell asleep.
    pub(super) fn is_dead_card(
        &self,
        patience: Time,
        leapt: Option<Time>,
        slept: Option<(Time, Time)>,
        now: Time,
    ) -> bool {
        let asleep = |at: Time| slept.is_some_and(|(since, woke)| since <= at && woke == now);
        let out = self.out.or(self.plugged.filter(|at| asleep(*at)).map(|_| self.pulled));
        self.card && out.is_some_and(|since| now - since >= patience || leapt.is_some_and(|at| at >= since))
    }

    /// Whether its node may still listen for others before it puts on again what it says that it holds.
    pub(super) fn is_back_since(&self, now: Time, listens: Time) -> bool {
        self.plugged.is_some_and(|at| now - at <= listens)
    }
}

impl Check {
    pub fn unplugged(&mut self, node: usize, heard: bool, now: Time, sight: &Sight) {
        let cable = &mut self.cables[node];
        cable.card = heard || (cable.card && cable.out.is_some());
        if cable.out.is_none() {
            let both = |group: usize, other: usize| sight.owns[node][group] && sight.owns[other][group];
            cable.shared = std::array::from_fn(|other| std::array::from_fn(|group| both(group, other)));
        }
        cable.out.get_or_insert(now);
        cable.back = None;
    }

    pub fn plugged(&mut self, node: usize, now: Time, sight: &Sight) {
        let out = self.cables[node].out.take();
        // An operator may want a group where nobody can reach it, and then it has the later tenancy there.
        let forced = out.is_some_and(|out| self.operator.is_some_and(|at| at + 15 * S > out));
        // A recording is taken for what it is only when the answers in it are too old.
        let forced = forced || self.doubtful_until.is_some_and(|until| now <= until + self.profile.deadtime);
        let long = !forced && out.is_some_and(|out| now - out > self.profile.deadtime + self.profile.keepalive);
        self.cables[node].back = long.then_some((now, self.lost));
        self.cables[node].pulled = out.unwrap_or(now);
        self.cables[node].theirs = sight.owns;
        // What both had before, after another cut, may be the one's whose cable it was.
        let Cable { theirs, shared, .. } = &mut self.cables[node];
        for (theirs, shared) in theirs.iter_mut().zip(shared) {
            theirs.iter_mut().zip(shared).for_each(|(theirs, shared)| *theirs &= !*shared);
        }
        self.cables[node].judged = false;
        self.cables[node].plugged = Some(now);
    }

    /// Rule 7.
    pub(super) fn observe_cables(&mut self, now: Time, sight: &Sight) {
        for node in self.nodes() {
            let cable = &mut self.cables[node];
            // What another has let go of since may be taken, as ever.
            for (theirs, owns) in cable.theirs.iter_mut().zip(&sight.owns) {
                theirs.iter_mut().zip(owns).for_each(|(theirs, owns)| *theirs &= *owns);
            }
            let Cable { back: Some((back, lost)), pulled, theirs, card, .. } = *cable else { continue };
            let sound = |node: usize| {
                let side = &self.sides[node];
                sight.runs[node]
                    && side.active.is_some_and(|active| active < pulled)
                    && !side.excuses
                    && !side.forgetful
            };
            // Between that moment and the answer of the other one an operator may want it as well.
            if self.operator.is_some_and(|at| at >= back) {
                continue;
            }
            if lost != self.lost || now > back + 2 * self.profile.keepalive || !sound(node) {
                continue;
            }
            for other in self.others(node).filter(|other| sound(*other)) {
                for group in (0..self.groups.len()).filter(|group| theirs[other][*group]) {
                    self.healed += u64::from(!std::mem::replace(&mut self.cables[node].judged, true));
                    // A switch to the one that was heard all the time, which both have for its moment.
                    let planned = card && sight.states[node][group] == Some(State::Offering);
                    if sight.owns[node][group] && sight.states[other][group] == Some(State::Held) && !planned {
                        self.fault.get_or_insert(format!(
                            "node{} has group {group} again although its cable was out and node{} has it",
                            node + 1,
                            other + 1
                        ));
                    }
                }
            }
        }
    }
}
