//! What the operator asks for, where there are three nodes or more: answered at once where it is no, when it is done
//! where it is yes.

use std::time::Instant;

use super::{Cluster, Member, Share, View};
use crate::core::notice::Notice;
use crate::core::plan::GroupId;
use crate::core::takeover::{
    Effect, REPLY_WITHIN, Refusal, SWITCH_WITHIN, State, Switch, SwitchKind, Ticket, Which, Why, Word,
};

impl Cluster {
    /// Gives groups away, each to the best of the other nodes.
    pub fn standby(&mut self, now: Instant, which: Which, ticket: Ticket, fx: &mut Vec<Effect>) {
        self.stop_all_again(which, fx);
        let groups = match self.may_standby(which) {
            Ok(groups) => groups,
            Err(refusal) => return fx.push(Effect::Answer(ticket, Err(refusal))),
        };
        fx.push(Effect::Note(Notice::WantsStandby { node: self.me.clone(), set: which.word() }));
        for id in &groups {
            let taker = self.target(*id, None).and_then(|at| self.members.get(at)).and_then(Member::word);
            let theirs = taker.and_then(|word| self.said(word, *id)).map_or(u8::MAX, |said| said.rank);
            if let Some(Share { unit, rank, .. }) = self.shares.get_mut(id.0) {
                unit.give = Some(Why::Standby);
                unit.away = *rank < theirs;
            }
        }
        self.switch = Some(Switch { kind: SwitchKind::Give, ticket: Some(ticket), groups, until: now + SWITCH_WITHIN });
        self.settle(now, fx);
    }

    fn may_standby(&self, which: Which) -> Result<Vec<GroupId>, Refusal> {
        self.may_switch(which)?;
        let here = |id: &GroupId| matches!(self.state(*id), Some(State::Held | State::Stuck));
        let held: Vec<GroupId> = self.chosen(which).filter(here).collect();
        if held.is_empty() {
            return Err(Refusal::NothingHeld);
        }
        if held.iter().all(|id| self.target(*id, None).is_some()) {
            return Ok(held);
        }
        let words = || self.members.iter().filter_map(Member::word);
        let takes = |word: &&Word| word.active && !word.maintenance;
        Err(match (words().next().is_some(), words().any(|word| word.active), words().find(takes)) {
            (false, ..) => Refusal::PeerDead,
            (true, false, _) => Refusal::PeerStarting,
            (true, true, None) => Refusal::PeerMaintained,
            (true, true, Some(_)) if words().filter(takes).all(|word| !word.ready) => Refusal::PeerNotReady,
            (true, true, Some(_)) => Refusal::PeerUnable,
        })
    }

    /// Takes groups from whoever has them, or starts them if nobody has.
    pub fn takeover(&mut self, now: Instant, which: Which, ticket: Ticket, fx: &mut Vec<Effect>) {
        let groups = match self.may_takeover(which) {
            Ok(groups) => groups,
            Err(refusal) => return fx.push(Effect::Answer(ticket, Err(refusal))),
        };
        fx.push(Effect::Note(Notice::WantsTakeover { node: self.me.clone(), set: which.word() }));
        for id in &groups {
            if let Some(Share { unit, .. }) = self.shares.get_mut(id.0) {
                unit.want_until = Some(now + REPLY_WITHIN);
                unit.failed = false;
                unit.retry_at = None;
                unit.away = false;
            }
        }
        self.switch = Some(Switch { kind: SwitchKind::Take, ticket: Some(ticket), groups, until: now + SWITCH_WITHIN });
        self.settle(now, fx);
    }

    fn may_takeover(&self, which: Which) -> Result<Vec<GroupId>, Refusal> {
        self.may_switch(which)?;
        let missing: Vec<GroupId> = self.chosen(which).filter(|id| self.state(*id) != Some(State::Held)).collect();
        if missing.iter().any(|id| self.state(*id) == Some(State::Stuck)) {
            return Err(Refusal::Stuck);
        }
        if missing.iter().any(|id| self.is_stuck_elsewhere(*id)) {
            return Err(Refusal::PeerStuck);
        }
        let alone = self.is_alone();
        let nowhere = missing.iter().any(|id| self.holder(*id).is_none());
        if nowhere && self.members.iter().any(|member| member.view == View::Unfenced) {
            return Err(Refusal::Unfenced);
        }
        match (missing.is_empty(), self.ready || alone, self.has_old()) {
            (true, ..) => Err(Refusal::AlreadyHeld),
            (false, false, _) => Err(Refusal::NotReady),
            (false, true, true) => Err(Refusal::OldAmongMany),
            (false, true, false) => Ok(missing),
        }
    }

    pub(super) fn is_alone(&self) -> bool {
        self.members.iter().all(|member| matches!(member.view, View::Gone(_)))
    }

    fn has_old(&self) -> bool {
        self.members.iter().any(|member| member.view == View::Old)
    }

    fn may_switch(&self, which: Which) -> Result<(), Refusal> {
        let moves = |id| matches!(self.state(id), Some(State::Acquiring | State::Releasing | State::Offering));
        if !self.active || self.letting_go {
            Err(Refusal::Starting)
        } else if self.leaving {
            Err(Refusal::Leaving)
        } else if self.switch.is_some() || self.chosen(which).any(moves) {
            Err(Refusal::Busy)
        } else {
            Ok(())
        }
    }

    pub(super) fn chosen(&self, which: Which) -> impl Iterator<Item = GroupId> {
        let shares = self.shares.iter().enumerate().map(|(at, share)| (GroupId(at), share.unit.home));
        shares.filter(move |(id, home)| which.takes(*id, *home)).map(|(id, _)| id)
    }

    /// Ends the request under way.
    pub(super) fn end_switch(&mut self, result: Result<(), Refusal>, fx: &mut Vec<Effect>) {
        if let Some(Switch { ticket: Some(ticket), .. }) = self.switch.take() {
            fx.push(Effect::Answer(ticket, result));
        }
    }

    /// Whether the request under way has come to its end.
    pub(super) fn check_switch(&mut self, fx: &mut Vec<Effect>) {
        let Some(switch) = &self.switch else { return };
        let units = || switch.groups.iter().filter_map(|id| self.shares.get(id.0).map(|share| (*id, &share.unit)));
        let idle = |state| matches!(state, State::Free | State::Claiming);
        let result = match switch.kind {
            SwitchKind::Give => {
                let gone = |(id, state): (GroupId, State)| {
                    matches!(state, State::Releasing | State::Free) && self.holder(id).is_some()
                };
                if units().any(|(_, unit)| unit.is_stuck_for_now()) {
                    Some(Err(Refusal::Stuck))
                } else if units().all(|(id, unit)| gone((id, unit.state))) {
                    Some(Ok(()))
                } else if units().any(|(_, unit)| unit.state == State::Held && unit.give.is_none()) {
                    Some(Err(Refusal::Failed))
                } else {
                    None
                }
            }
            SwitchKind::Take => {
                if units().all(|(_, unit)| unit.state == State::Held) {
                    Some(Ok(()))
                } else if units().any(|(_, unit)| unit.state == State::Stuck) {
                    Some(Err(Refusal::Failed))
                } else if units().any(|(id, unit)| idle(unit.state) && self.is_stuck_elsewhere(id)) {
                    Some(Err(Refusal::PeerStuck))
                } else if units().any(|(_, unit)| idle(unit.state) && unit.failed) {
                    Some(Err(Refusal::Failed))
                } else if units().any(|(_, unit)| idle(unit.state) && unit.want_until.is_none()) && !self.is_alone() {
                    Some(Err(Refusal::NoReply))
                } else {
                    None
                }
            }
        };
        if let Some(result) = result {
            self.end_switch(result, fx);
        }
    }
}
