//! Applies the rules of [`native`](super::native) to what is known, until nothing moves.

use std::time::Instant;

use super::native::{self, Case, Other, Step};
use super::{Effect, Gone, Notice, Peer, REPLY_WITHIN, Said, State, Takeover, Unit, Why, Will, Word};
use crate::core::plan::GroupId;

impl Takeover {
    /// Brings everything to rest: applies the rules to each group until none moves.
    pub(super) fn settle(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        self.units.iter_mut().for_each(|unit| unit.expire(now));
        if !self.letting_go {
            // Each pass moves a group at most one state on; the longest way without help
            // from outside is Claiming → Free → Acquiring.
            for _ in 0..3 {
                let moved: Vec<bool> = (0..self.units.len()).map(|at| self.step(now, GroupId(at), fx)).collect();
                if !moved.contains(&true) {
                    break;
                }
            }
            self.check_settled();
            self.check_switch(fx);
        }
        self.tell_serving(fx);
        let changed = self.told.as_ref().is_some_and(|told| *told != self.word());
        if changed && !fx.iter().any(|effect| matches!(effect, Effect::Tell)) {
            fx.push(Effect::Tell);
        }
        if self.leaving && !self.left && !self.is_here() && self.classic_may_go() {
            self.left = true;
            fx.push(Effect::Note(Notice::Relinquished));
            fx.push(Effect::Left);
        }
    }

    /// One group, one step. Tells whether its state changed.
    fn step(&mut self, now: Instant, id: GroupId, fx: &mut Vec<Effect>) -> bool {
        if !self.active || self.peer == Peer::Old {
            return false;
        }
        let said = self.said(id);
        self.consider_giving(now, id, said, fx);
        let Some((other, case)) = self.case(id, said) else { return false };
        let Some(unit) = self.units.get_mut(id.0) else { return false };
        if unit.contested
            && matches!(other, Other::Gone | Other::Says(State::Free | State::Claiming | State::Releasing))
        {
            unit.contested = false;
            if unit.state == State::Held {
                fx.push(Effect::Announce(id));
            }
        }
        match native::step(unit.state, other, &case) {
            Step::Stay => return false,
            Step::Claim => {
                unit.state = State::Claiming;
                unit.claim_told = None;
            }
            Step::Yield => unit.state = State::Free,
            Step::Acquire => {
                let why = match (&self.peer, other) {
                    (Peer::Gone(Gone::Dead), _) => Why::PeerDead,
                    (Peer::Gone(Gone::Left), _) => Why::PeerLeft,
                    (_, Other::Says(State::Offering)) if unit.want_until.is_some() => Why::Takeover,
                    (_, Other::Says(State::Offering)) if unit.home => Why::Failback,
                    (_, Other::Says(State::Offering)) => Why::Standby,
                    (_, _) => Why::Vacant,
                };
                let offered = other == Other::Says(State::Offering);
                self.acquire(id, why, fx);
                if let Some(unit) = self.units.get_mut(id.0) {
                    unit.contested = offered;
                }
            }
            Step::Offer => {
                unit.state = State::Offering;
                (unit.offer_until, unit.offer_expired) = (Some(now + REPLY_WITHIN), false);
            }
            Step::Withdraw | Step::CallOff => {
                unit.state = State::Held;
                unit.give = None;
                unit.offer_until = None;
                unit.away = false;
                // Whoever is not heard has not let it pass.
                unit.quiet_until = matches!(other, Other::Says(_)).then(|| now + REPLY_WITHIN);
                let node = self.other.clone();
                let group = self.plan.get(id).map(|group| group.key.clone()).unwrap_or_default();
                fx.push(Effect::Note(Notice::SwitchCalledOff { group, node }));
            }
            Step::Contest => {
                // After a switch the taker too sees two holders, until the giver has heard.
                let expected = other == Other::Says(State::Offering);
                if !std::mem::replace(&mut unit.contested, true) && !expected {
                    self.note_both_own(id, self.me.clone(), fx);
                }
                return false;
            }
            Step::Release => {
                let why = match (unit.state, unit.give, other) {
                    (State::Held, _, Other::Says(State::Held | State::Offering)) => {
                        self.note_both_own(id, self.other.clone(), fx);
                        Why::Conflict
                    }
                    // Whatever was under way before.
                    _ if self.leaving => Why::Stop,
                    (_, Some(why), _) => why,
                    (_, None, _) => Why::Conflict,
                };
                self.release(id, why, fx);
            }
        }
        true
    }

    fn note_both_own(&self, id: GroupId, keeper: String, fx: &mut Vec<Effect>) {
        let group = self.plan.get(id).map(|group| group.key.clone()).unwrap_or_default();
        fx.push(Effect::Note(Notice::BothOwn { group, keeper }));
    }

    /// The peer's word on a group. One that its haresources does not have, it cannot take. If its ha.cf has other nodes,
    /// its word is for them, and counts only where both have the group.
    pub(super) fn said(&self, id: GroupId) -> Option<Said> {
        let tag = *self.plan.tags().get(id.0)?;
        match &self.peer {
            Peer::Ours(word) => {
                let unknown = Said { tag, state: State::Free, term: 0, will: Will::Unable, rank: 0, to: None };
                let said = word.groups.iter().find(|said| said.tag == tag).copied().unwrap_or(unknown);
                let theirs = matches!(said.state, State::Held | State::Offering);
                let both = theirs && self.units.get(id.0).is_some_and(Unit::is_here);
                (both || !word.is_of_others(self.nodes)).then_some(said)
            }
            Peer::Unknown | Peer::Old | Peer::Unfenced | Peer::Gone(_) => None,
        }
    }

    /// Whether a group of ours is to go to the peer.
    fn consider_giving(&mut self, now: Instant, id: GroupId, said: Option<Said>, fx: &mut Vec<Effect>) {
        let leaving = self.leaving;
        let (active, ready) = match &self.peer {
            Peer::Ours(word) => (word.active, word.ready),
            Peer::Unknown | Peer::Old | Peer::Unfenced | Peer::Gone(_) => (false, false),
        };
        let Some(unit) = self.units.get_mut(id.0) else { return };
        if unit.state != State::Held {
            return;
        }
        if leaving {
            unit.give = Some(Why::Stop);
            return;
        }
        let Some(said) = said else { return };
        if unit.give.is_some() || said.state != State::Free || !active || unit.quiet_until.is_some_and(|at| now < at) {
            return;
        }
        if said.will == Will::Wanting {
            unit.give = Some(Why::Takeover);
            unit.away = unit.home;
        } else if unit.dead && !self.maintenance && said.will != Will::Unable {
            unit.give = Some(Why::Unreachable);
        } else if self.auto_failback && !self.maintenance && !unit.home && ready && said.will == Will::Willing {
            unit.give = Some(Why::Failback);
            let group = self.plan.get(id).map(|group| group.key.clone()).unwrap_or_default();
            fx.push(Effect::Note(Notice::Failback { group, node: self.other.clone() }));
        }
    }

    fn case(&self, id: GroupId, said: Option<Said>) -> Option<(Other, Case)> {
        let unit = self.units.get(id.0)?;
        let will = unit.will(self.leaving, self.maintenance);
        let able = will != Will::Unable;
        let mut case = Case {
            ours: true,
            able,
            fit: self.ready,
            home: unit.home,
            told: false,
            give: unit.give.is_some(),
            overlaps: unit.overlaps,
            other_able: false,
            stronger: true,
            expired: unit.offer_expired,
            leaving: self.leaving,
        };
        let other = match (&self.peer, said) {
            (Peer::Ours(word), Some(said)) => {
                case.ours = self.is_ours(unit, will, word, said.will);
                let echoed = |told: u64| word.heard.is_some_and(|(life, seq)| life == self.life && seq >= told);
                case.told = unit.claim_told.is_some_and(echoed);
                case.fit |= said.will == Will::Unable;
                case.other_able = word.active && said.will != Will::Unable && (word.ready || self.leaving || unit.dead);
                case.stronger = (unit.term, unit.home) > (said.term, !unit.home);
                // An offer to another life of ours is a recording, or was made before this one began.
                let to_us = word.heard.is_some_and(|(life, _)| life == self.life);
                Other::Says(if said.state == State::Offering && !to_us { State::Held } else { said.state })
            }
            (Peer::Gone(_), _) => Other::Gone,
            (Peer::Unknown | Peer::Old | Peer::Unfenced | Peer::Ours(_), _) => Other::Unknown,
        };
        Some((other, case))
    }

    /// Who is to have a group that nobody has: whoever wants it more; where both want it
    /// alike its home, unless only the other is in service already. A pair that starts
    /// together so begins with every group at home, whichever ldirectord is ready first.
    fn is_ours(&self, unit: &Unit, will: Will, word: &Word, their_will: Will) -> bool {
        if will != their_will {
            return will > their_will;
        }
        if unit.home { !(word.settled && word.ready && !self.ready) } else { self.settled && self.ready && !word.ready }
    }
}
