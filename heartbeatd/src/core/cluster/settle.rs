//! Applies the [`rules`] to what is known, until nothing moves.

use std::cmp::Reverse;
use std::time::Instant;

use super::rules::{self, Case, Claim, Others, Step};
use super::{Cluster, Member, Share, View};
use crate::core::notice::Notice;
use crate::core::plan::GroupId;
use crate::core::takeover::{Effect, Gone, REPLY_WITHIN, Said, State, Why, Will, Word};

impl Cluster {
    /// Brings everything to rest: applies the rules to each group until none moves.
    pub(super) fn settle(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        self.settle_fencing(now, fx);
        self.shares.iter_mut().for_each(|share| share.unit.expire(now));
        if !self.letting_go {
            // Each pass moves a group at most one state on; the longest way without help from outside is
            // Claiming → Free → Acquiring.
            for _ in 0..3 {
                let moved: Vec<bool> = (0..self.shares.len()).map(|at| self.step(now, GroupId(at), fx)).collect();
                if !moved.contains(&true) {
                    break;
                }
            }
            self.check_settled();
            self.check_switch(fx);
        }
        self.tell_serving(fx);
        if self.leaving && !self.left && !self.is_here() {
            self.left = true;
            fx.push(Effect::Note(Notice::Relinquished));
            fx.push(Effect::Left);
        }
        let told = self.told.as_ref().map(|told| Word { echoes: Vec::new(), ..told.clone() });
        if told.is_some_and(|told| told != self.word()) && !fx.iter().any(|effect| matches!(effect, Effect::Tell)) {
            fx.push(Effect::Tell);
        }
    }

    /// One group, one step. Tells whether its state changed.
    fn step(&mut self, now: Instant, id: GroupId, fx: &mut Vec<Effect>) -> bool {
        // The end of work is reported by whoever does it.
        if !self.active || matches!(self.state(id), Some(State::Acquiring | State::Releasing | State::Stuck)) {
            return false;
        }
        self.consider_giving(now, id, fx);
        let others = self.others(id);
        let target = self.target(id, None);
        let Some(case) = self.case(id, target) else { return false };
        let Some(Share { unit, to, lost, .. }) = self.shares.get_mut(id.0) else { return false };
        if unit.contested && !others.held && !others.acquiring {
            unit.contested = false;
            if unit.state == State::Held {
                fx.push(Effect::Announce(id));
            }
        }
        match rules::step(unit.state, &others, &case) {
            Step::Stay => return false,
            Step::Claim => {
                unit.state = State::Claiming;
                unit.claim_told = None;
            }
            Step::Yield => unit.state = State::Free,
            Step::Acquire => {
                let why = match (others.offered, unit.want_until.is_some()) {
                    (true, true) => Why::Takeover,
                    (true, false) => self.why_offered(id),
                    (false, _) => lost.take().unwrap_or(Why::Vacant),
                };
                self.acquire(id, why, others.offered, fx);
            }
            Step::Offer => {
                unit.state = State::Offering;
                (unit.offer_until, unit.offer_expired) = (Some(now + REPLY_WITHIN), false);
                *to = target;
            }
            Step::Withdraw => {
                unit.state = State::Held;
                unit.give = None;
                unit.offer_until = None;
                unit.away = false;
                let taker = to.take().and_then(|to| self.members.get(to));
                // Whoever is not heard has not let it pass.
                unit.quiet_until = taker.is_some_and(|taker| taker.word().is_some()).then(|| now + REPLY_WITHIN);
                let node = taker.map_or("another node", |member| &member.name).to_owned();
                fx.push(Effect::Note(Notice::SwitchCalledOff { group: self.key(id), node }));
            }
            Step::Contest => {
                // After a switch the taker too sees two holders, until the giver has heard.
                let first = !std::mem::replace(&mut unit.contested, true);
                if first && !self.is_offered_by_holders(id) {
                    fx.push(Effect::Note(Notice::BothOwn { group: self.key(id), keeper: self.me.clone() }));
                }
                return false;
            }
            Step::Release => {
                let conflict = unit.state == State::Held && others.held;
                let why = match unit.give {
                    _ if conflict => Why::Conflict,
                    _ if self.leaving => Why::Stop,
                    Some(why) => why,
                    None => Why::Conflict,
                };
                if conflict {
                    let keeper = self.holder(id).unwrap_or_default().to_owned();
                    fx.push(Effect::Note(Notice::BothOwn { group: self.key(id), keeper }));
                }
                self.release(id, why, fx);
            }
        }
        true
    }

    /// What every node that is heard says of a group.
    fn each_said(&self, id: GroupId) -> impl Iterator<Item = (usize, &Member, &Word, &Said)> {
        self.members.iter().enumerate().filter_map(move |(at, member)| {
            let word = member.word()?;
            Some((at, member, word, self.said(word, id)?))
        })
    }

    fn is_offered_by_holders(&self, id: GroupId) -> bool {
        self.each_said(id).all(|(_, _, _, said)| said.state != State::Held)
    }

    fn why_offered(&self, id: GroupId) -> Why {
        let ours = self.shares.get(id.0).map_or(0, |share| share.rank);
        let later = |(_, _, _, said): (usize, &Member, &Word, &Said)| said.state == State::Offering && said.rank > ours;
        if self.each_said(id).any(later) { Why::Failback } else { Why::Standby }
    }

    fn others(&self, id: GroupId) -> Others {
        let Some(Share { unit, rank, .. }) = self.shares.get(id.0) else { return Others::default() };
        let mut others = Others {
            unsure: self.is_unsure(),
            doubted: self.is_doubted(),
            alone: self.is_alone(),
            ..Others::default()
        };
        for (_, member, word, said) in self.each_said(id) {
            let before = (said.rank, member.name.as_str()) < (*rank, self.me.as_str());
            match said.state {
                State::Free => {}
                State::Claiming => {
                    let claim = if before { Claim::Earlier } else { Claim::Later };
                    others.claimed = others.claimed.max(Some(claim));
                }
                State::Acquiring => (others.acquiring, others.busy) = (true, true),
                State::Releasing => (others.releasing, others.busy) = (true, true),
                State::Stuck => others.busy = true,
                State::Held | State::Offering => {
                    others.held = true;
                    others.stronger |= said.term > unit.term || said.term == unit.term && before;
                    // An offer to another life of ours is a recording, or was made before this one began.
                    let to_us = said.to == Some(self.mark) && self.has_heard(word, 0) && !word.is_of_others(self.nodes);
                    if said.state == State::Offering && to_us {
                        others.offered = true;
                    } else {
                        others.busy = true;
                    }
                }
            }
        }
        others
    }

    /// Whether there may be somebody of whom nothing is known: one that was not heard yet or says nothing that we could
    /// use, one that another still hears, or whoever else is in a cluster of other nodes.
    pub fn is_unsure(&self) -> bool {
        let unknown = |member: &Member| match &member.view {
            View::Unknown | View::Old | View::Unfenced => true,
            View::Says(word) => word.is_of_others(self.nodes),
            View::Gone(_) => false,
        };
        self.members.iter().any(unknown) || self.is_doubted()
    }

    /// Whether a node is in a position to be given anything.
    fn listens(&self, word: &Word) -> bool {
        word.active && !word.unsure && !word.is_of_others(self.nodes)
    }

    /// Whether a node could take a group that is offered to it. What nobody can reach here is better even with one that is
    /// not ready yet.
    fn takes(&self, id: GroupId, word: &Word, said: &Said) -> bool {
        let dead = self.shares.get(id.0).is_some_and(|share| share.unit.dead);
        self.listens(word)
            && said.will != Will::Unable
            && matches!(said.state, State::Free | State::Claiming)
            && (word.ready || self.leaving || dead)
    }

    /// Whether a node that we hear hears one that we have given up.
    fn is_doubted(&self) -> bool {
        let unheard = |mark: u32, life: u64| {
            let member = self.members.iter().find(|member| member.mark == mark);
            member.is_some_and(|member| match member.view {
                View::Gone(Gone::Left) => member.life != Some(life),
                View::Unfenced | View::Gone(Gone::Dead | Gone::Never) => true,
                View::Unknown | View::Old | View::Says(_) => false,
            })
        };
        self.members
            .iter()
            .filter_map(Member::word)
            .flat_map(|word| &word.echoes)
            .any(|echo| unheard(echo.node, echo.life))
    }

    /// Whether a group of ours is to go to another node.
    fn consider_giving(&mut self, now: Instant, id: GroupId, fx: &mut Vec<Effect>) {
        let Some(Share { unit, rank, .. }) = self.shares.get(id.0) else { return };
        if unit.state != State::Held || unit.give.is_some() && !self.leaving {
            return;
        }
        let quiet = unit.quiet_until.is_some_and(|at| now < at);
        let asks = |(_, _, word, said): &(usize, &Member, &Word, &Said)| {
            self.listens(word) && said.state == State::Free && said.will == Will::Wanting
        };
        let returns = |(_, _, word, said): &(usize, &Member, &Word, &Said)| {
            let free = said.state == State::Free && said.will == Will::Willing;
            self.listens(word) && word.ready && free && said.rank < *rank
        };
        let (give, away) = if self.leaving {
            (Why::Stop, unit.away)
        } else if quiet {
            return;
        } else if let Some((_, _, _, said)) = self.each_said(id).find(asks) {
            (Why::Takeover, *rank < said.rank)
        } else if unit.dead && !self.maintenance && self.target(id, None).is_some() {
            (Why::Unreachable, unit.away)
        } else if self.auto_failback
            && !self.maintenance
            && let Some((_, member, ..)) = self.each_said(id).filter(returns).min_by_key(|(.., said)| said.rank)
        {
            let node = member.name.clone();
            fx.push(Effect::Note(Notice::Failback { group: self.key(id), node }));
            (Why::Failback, unit.away)
        } else {
            return;
        };
        if let Some(Share { unit, .. }) = self.shares.get_mut(id.0) {
            unit.give = Some(give);
            unit.away = away;
        }
    }

    /// Who could take a group from us, the best one; `but` not this one.
    pub(super) fn target(&self, id: GroupId, but: Option<usize>) -> Option<usize> {
        let fit = |(at, _, word, said): &(usize, &Member, &Word, &Said)| Some(*at) != but && self.takes(id, word, said);
        let best = |(_, member, _, said): (usize, &Member, &Word, &Said)| (Reverse(said.will), said.rank, member.mark);
        self.each_said(id).filter(fit).min_by_key(|each| best(*each)).map(|(at, ..)| at)
    }

    fn case(&self, id: GroupId, target: Option<usize>) -> Option<Case> {
        let Share { unit, to, .. } = self.shares.get(id.0)?;
        let will = unit.will(self.leaving, self.maintenance);
        // One that could not take it needs telling as well: it may be able to at the same moment as we are, as at the end of
        // maintenance, and think the same of us.
        let told = |word: &Word| {
            let knows_no_such_group = self.said(word, id).is_none();
            knows_no_such_group || unit.claim_told.is_some_and(|seq| self.has_heard(word, seq))
        };
        let offerer = self.each_said(id).find(|(_, _, _, said)| said.state == State::Offering);
        let (taker, another) = match *to {
            Some(to) => {
                let fits = self.each_said(id).any(|(at, _, word, said)| at == to && self.takes(id, word, said));
                (fits, self.target(id, Some(to)).is_some())
            }
            None => (target.is_some(), false),
        };
        Some(Case {
            ours: self.is_ours(id, will),
            able: will != Will::Unable,
            fit: self.ready || offerer.is_some_and(|(_, _, _, said)| said.will == Will::Unable),
            told: self.members.iter().filter_map(Member::word).all(told),
            give: unit.give.is_some(),
            overlaps: unit.overlaps,
            taker,
            another,
            expired: unit.offer_expired,
            leaving: self.leaving,
        })
    }

    /// Who is to have a group that nobody has: whoever wants it most; of those who want it alike the first of its homes,
    /// unless only others are in service already. Nodes that start together so begin with every group at home, whichever
    /// ldirectord is ready first.
    fn is_ours(&self, id: GroupId, will: Will) -> bool {
        let Some(share) = self.shares.get(id.0) else { return false };
        // At a start the others are waited for; later one that may take nothing is no reason for a group to be nowhere.
        let waits = |word: &Word| self.settled && word.unsure;
        let heard = || self.each_said(id).filter(|(_, _, word, said)| said.will != Will::Unable && !waits(word));
        let most = heard().map(|(.., said)| said.will).max().map_or(will, |most| most.max(will));
        if will != most {
            return false;
        }
        let rivals = || heard().filter(|(.., said)| said.will == most);
        let served = self.settled && self.ready || rivals().any(|(_, _, word, _)| word.settled && word.ready);
        let ours = (served && !self.ready, share.rank, self.me.as_str());
        rivals().all(|(_, member, word, said)| ours < (served && !word.ready, said.rank, member.name.as_str()))
    }

    fn check_settled(&mut self) {
        let in_hands = |(at, share): (usize, &Share)| {
            matches!(share.unit.state, State::Held | State::Offering | State::Stuck)
                || self.holder(GroupId(at)).is_some()
        };
        self.settled |= self.active && self.shares.iter().enumerate().all(in_hands);
    }

    fn acquire(&mut self, id: GroupId, why: Why, offered: bool, fx: &mut Vec<Effect>) {
        let group = self.key(id);
        let Some(Share { unit, lost, .. }) = self.shares.get_mut(id.0) else { return };
        unit.begins();
        unit.contested = offered;
        *lost = None;
        fx.push(Effect::Note(Notice::TakingOver { group, why }));
        fx.push(Effect::Acquire(id, why));
    }

    pub(super) fn release(&mut self, id: GroupId, why: Why, fx: &mut Vec<Effect>) {
        let group = self.key(id);
        let Some(Share { unit, to, .. }) = self.shares.get_mut(id.0) else { return };
        unit.state = State::Releasing;
        unit.offer_until = None;
        unit.contested = false;
        *to = None;
        fx.push(Effect::Note(Notice::GivingUp { group, why }));
        fx.push(Effect::Release(id, why));
    }

    pub(super) fn tell_serving(&mut self, fx: &mut Vec<Effect>) {
        let serving = self.shares.iter().any(|share| matches!(share.unit.state, State::Held | State::Offering));
        if std::mem::replace(&mut self.serving, serving) != serving {
            fx.push(Effect::Serving(serving));
        }
    }
}
