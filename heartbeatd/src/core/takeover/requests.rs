//! What the operator asks for, and the answer: at once where it is no (faults 5 and 22), when it
//! is done where it is yes.

use std::time::{Duration, Instant};

use super::{Effect, Gone, Peer, REPLY_WITHIN, State, Takeover, Why, Will, says_stuck};
use crate::core::notice::Notice;
use crate::core::plan::GroupId;
use crate::wire::{Body, Hold};

use super::bags::Bags;

/// A switch that takes longer is answered with [`Refusal::NoReply`]; it may still complete.
pub(crate) const SWITCH_WITHIN: Duration = Duration::from_secs(120);

impl Refusal {
    /// Whether it may be another answer in a moment.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Starting
            | Self::PeerStarting
            | Self::PeerNotReady
            | Self::Busy
            | Self::Maintenance
            | Self::PeerInFlux
            | Self::NotReady => true,
            Self::Leaving
            | Self::PeerDead
            | Self::PeerUnable
            | Self::PeerMaintained
            | Self::NothingHeld
            | Self::AlreadyHeld
            | Self::OldPeer
            | Self::OldAmongMany
            | Self::Legacy
            | Self::NoReply
            | Self::Unfenced
            | Self::NotUnfenced
            | Self::Stuck
            | Self::PeerStuck
            | Self::Failed => false,
        }
    }
}

/// The caller's mark on a request; comes back with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Which groups, seen from the node that is asked. `failback` of the old tools is
/// [`Foreign`](Which::Foreign) for a standby and [`Local`](Which::Local) for a takeover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Every group.
    All,
    /// Groups at home here.
    Local,
    /// Groups at home on the other node.
    Foreign,
    /// One group. Only between two heartbeatd.
    Group(GroupId),
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Communication is not up.
    #[error("this node is still starting")]
    Starting,
    /// An orderly stop is under way here.
    #[error("this node is stopping")]
    Leaving,
    /// There is nobody to give to.
    #[error("the other node is dead: there is nobody to take the resources")]
    PeerDead,
    /// Communication of the other is not up.
    #[error("the other node is still starting")]
    PeerStarting,
    /// It would serve nothing.
    #[error("the other node is not ready: its ldirectord has not finished its first round of checks")]
    PeerNotReady,
    /// It stops, has just failed to start them, or nobody can reach them there.
    #[error(
        "the other node cannot take them: it is stopping, has just failed to start them, or has no carrier for them"
    )]
    PeerUnable,
    /// It takes nothing.
    #[error(
        "the other node is in maintenance: \"lvsctl maintenance off\" there, or take them there with \"lvsctl takeover\""
    )]
    PeerMaintained,
    /// Nothing is given that no administrator asks for.
    #[error("this node is in maintenance")]
    Maintenance,
    /// Another switch is under way.
    #[error("resources are being moved, try again when the cluster is stable")]
    Busy,
    /// An old heartbeat has not said that it is stable.
    #[error("the other node is in flux, try again when the cluster is stable")]
    PeerInFlux,
    /// Standby of what is not here.
    #[error("this node holds none of them")]
    NothingHeld,
    /// Takeover of what is here.
    #[error("this node holds them already")]
    AlreadyHeld,
    /// This node would serve nothing.
    #[error("this node is not ready: its ldirectord has not finished its first round of checks")]
    NotReady,
    /// A single group cannot be named in the old protocol.
    #[error("the other node runs heartbeat 3.0.6, which knows only all, local and foreign")]
    OldPeer,
    /// It may have them, and cannot say so.
    #[error("a node runs heartbeat 3.0.6, which cannot be one of more than two: replace it by heartbeatd")]
    OldAmongMany,
    /// The oldest protocol moves groups only when a node comes or goes.
    #[error(
        "the other node runs heartbeat with auto_failback legacy, which knows no standby: write on or off on both nodes"
    )]
    Legacy,
    /// It was asked and did nothing.
    #[error("no reply from the other node, the request is cancelled")]
    NoReply,
    /// It may still have them.
    #[error(
        "the other node is silent and not yet known to be off: it is being fenced. If you have seen that it is off, \
         \"lvsctl confirm-dead NODE\""
    )]
    Unfenced,
    /// It is heard, or known to be off, or another.
    #[error("no node of that name waits to be fenced: only one that is silent can be said to be off")]
    NotUnfenced,
    /// Something of it still runs here.
    #[error(
        "a resource cannot be stopped here and still runs, so no other node may start its group: \"lvsctl status\" names \
         it, the log tells why. Stop it by hand; it is tried again by itself, and by \"lvsctl standby\" at once"
    )]
    Stuck,
    /// Something of it still runs there.
    #[error(
        "a resource cannot be stopped on the other node and still runs there, so its group may not be started here: stop it there by hand"
    )]
    PeerStuck,
    /// It tried.
    #[error("they could not be started on the node that was to take them")]
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SwitchKind {
    Give,
    Take,
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Switch {
    pub kind: SwitchKind,
    /// `None`: asked for by the other node, which follows it by itself.
    pub ticket: Option<Ticket>,
    pub groups: Vec<GroupId>,
    pub until: Instant,
}

impl Which {
    pub(crate) fn takes(self, id: GroupId, home: bool) -> bool {
        match self {
            Self::All => true,
            Self::Local => home,
            Self::Foreign => !home,
            Self::Group(group) => group == id,
        }
    }

    fn bags(self) -> Option<Bags> {
        match self {
            Self::All => Some(Bags::ALL),
            Self::Local => Some(Bags::LOCAL),
            Self::Foreign => Some(Bags::FOREIGN),
            Self::Group(_) => None,
        }
    }

    /// As heartbeat words it.
    pub(crate) fn word(self) -> &'static str {
        self.bags().map_or("group", Bags::as_str)
    }
}

impl Takeover {
    /// Gives groups to the other node.
    pub fn standby(&mut self, now: Instant, which: Which, ticket: Ticket, fx: &mut Vec<Effect>) {
        if let Err(refusal) = self.give(now, which, Some(ticket), fx) {
            fx.push(Effect::Answer(ticket, Err(refusal)));
        }
    }

    /// The same for whoever asks: an operator, who is answered when it is done, or ipfail.
    pub fn give(
        &mut self,
        now: Instant,
        which: Which,
        ticket: Option<Ticket>,
        fx: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        if ticket.is_none() && self.maintenance {
            return Err(Refusal::Maintenance);
        }
        if ticket.is_some() {
            self.stop_all_again(which, fx);
        }
        let groups = self.may_standby(which)?;
        if self.peer == Peer::Old && groups.iter().any(|id| self.state(*id) == Some(State::Stuck)) {
            return Err(Refusal::Stuck);
        }
        let switch = Switch { kind: SwitchKind::Give, ticket, groups, until: now + SWITCH_WITHIN };
        if self.peer == Peer::Old {
            let bags = which.bags().ok_or(Refusal::OldPeer)?;
            self.classic_give(now, bags, fx)?;
            self.switch = Some(switch);
        } else {
            let (node, set) = (self.me.clone(), which.word());
            fx.push(Effect::Note(Notice::WantsStandby { node, set }));
            for id in &switch.groups {
                if let Some(unit) = self.units.get_mut(id.0) {
                    unit.give = Some(Why::Standby);
                    unit.away = unit.home;
                }
            }
            self.switch = Some(switch);
        }
        self.settle(now, fx);
        Ok(())
    }

    fn may_standby(&self, which: Which) -> Result<Vec<GroupId>, Refusal> {
        self.may_switch()?;
        if matches!(self.peer, Peer::Gone(_) | Peer::Unknown | Peer::Unfenced) {
            return Err(Refusal::PeerDead);
        }
        let chosen = || self.chosen(which);
        if chosen().any(|id| matches!(self.state(id), Some(State::Acquiring | State::Releasing | State::Offering))) {
            return Err(Refusal::Busy);
        }
        let here = |id: &GroupId| matches!(self.state(*id), Some(State::Held | State::Stuck));
        let held: Vec<GroupId> = chosen().filter(here).collect();
        if held.is_empty() {
            return Err(Refusal::NothingHeld);
        }
        if let Peer::Ours(word) = &self.peer {
            let unable = |id: &GroupId| self.said(*id).is_none_or(|said| said.will == Will::Unable);
            match (word.active, word.ready) {
                (false, _) => return Err(Refusal::PeerStarting),
                (true, _) if word.maintenance => return Err(Refusal::PeerMaintained),
                (true, false) => return Err(Refusal::PeerNotReady),
                (true, true) if held.iter().any(unable) => return Err(Refusal::PeerUnable),
                (true, true) => {}
            }
        }
        Ok(held)
    }

    /// Takes groups from the other node, or starts them if nobody has them.
    pub fn takeover(&mut self, now: Instant, which: Which, ticket: Ticket, fx: &mut Vec<Effect>) {
        let groups = match self.may_takeover(which) {
            Ok(groups) => groups,
            Err(refusal) => return fx.push(Effect::Answer(ticket, Err(refusal))),
        };
        let (node, set) = (self.me.clone(), which.word());
        fx.push(Effect::Note(Notice::WantsTakeover { node, set }));
        for id in &groups {
            if let Some(unit) = self.units.get_mut(id.0) {
                unit.want_until = Some(now + REPLY_WITHIN);
                unit.failed = false;
                unit.retry_at = None;
                unit.away = false;
            }
        }
        if self.peer == Peer::Old
            && let Some(bags) = which.bags()
        {
            fx.push(Effect::Say(Body::HbTakeover { hold: Hold::from(bags) }));
        }
        self.switch = Some(Switch { kind: SwitchKind::Take, ticket: Some(ticket), groups, until: now + SWITCH_WITHIN });
        self.settle(now, fx);
    }

    fn may_takeover(&self, which: Which) -> Result<Vec<GroupId>, Refusal> {
        self.may_switch()?;
        if self.peer == Peer::Old && which.bags().is_none() {
            return Err(Refusal::OldPeer);
        }
        let chosen = || self.chosen(which);
        if chosen().any(|id| matches!(self.state(id), Some(State::Acquiring | State::Releasing | State::Offering))) {
            return Err(Refusal::Busy);
        }
        let missing: Vec<GroupId> = chosen().filter(|id| self.state(*id) != Some(State::Held)).collect();
        if missing.iter().any(|id| self.state(*id) == Some(State::Stuck)) {
            return Err(Refusal::Stuck);
        }
        if missing.iter().any(|id| says_stuck(self.said(*id))) {
            return Err(Refusal::PeerStuck);
        }
        match (&self.peer, missing.is_empty(), self.ready) {
            (_, true, _) => Err(Refusal::AlreadyHeld),
            (Peer::Unfenced, false, _) => Err(Refusal::Unfenced),
            (Peer::Gone(_), false, _) | (_, false, true) => Ok(missing),
            (Peer::Unknown | Peer::Old | Peer::Ours(_), false, false) => Err(Refusal::NotReady),
        }
    }

    fn may_switch(&self) -> Result<(), Refusal> {
        if !self.active || self.letting_go {
            Err(Refusal::Starting)
        } else if self.leaving {
            Err(Refusal::Leaving)
        } else if self.is_legacy() {
            Err(Refusal::Legacy)
        } else if self.switch.is_some() {
            Err(Refusal::Busy)
        } else {
            Ok(())
        }
    }

    pub(super) fn chosen(&self, which: Which) -> impl Iterator<Item = GroupId> {
        let units = self.units.iter().enumerate().map(|(at, unit)| (GroupId(at), unit.home));
        units.filter(move |(id, home)| which.takes(*id, *home)).map(|(id, _)| id)
    }

    /// Ends the request under way, whoever asked for it.
    pub(super) fn end_switch(&mut self, result: Result<(), Refusal>, fx: &mut Vec<Effect>) {
        if let Some(Switch { ticket: Some(ticket), .. }) = self.switch.take() {
            fx.push(Effect::Answer(ticket, result));
        }
    }

    pub(super) fn expire_switch(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        if self.switch.as_ref().is_some_and(|switch| switch.until <= now) {
            self.end_switch(Err(Refusal::NoReply), fx);
        }
    }

    /// Whether the request under way has come to its end.
    pub(super) fn check_switch(&mut self, fx: &mut Vec<Effect>) {
        let Some(switch) = &self.switch else { return };
        let units = || switch.groups.iter().filter_map(|id| self.units.get(id.0).map(|unit| (*id, unit)));
        let result = match switch.kind {
            SwitchKind::Give => {
                let gone = |(id, unit): (GroupId, &super::Unit)| {
                    matches!(unit.state, State::Releasing | State::Free) && self.peer_holds(id)
                };
                if units().any(|(_, unit)| unit.is_stuck_for_now()) {
                    Some(Err(Refusal::Stuck))
                } else if units().all(gone) {
                    Some(Ok(()))
                } else if units().any(|(_, unit)| unit.state == State::Held && unit.give.is_none())
                    && self.peer != Peer::Old
                {
                    Some(Err(Refusal::Failed))
                } else {
                    None
                }
            }
            SwitchKind::Take => {
                let idle = |unit: &super::Unit| matches!(unit.state, State::Free | State::Claiming);
                if units().all(|(_, unit)| unit.state == State::Held) {
                    Some(Ok(()))
                } else if units().any(|(_, unit)| unit.state == State::Stuck) {
                    Some(Err(Refusal::Failed))
                } else if units().any(|(id, unit)| idle(unit) && says_stuck(self.said(id))) {
                    Some(Err(Refusal::PeerStuck))
                } else if units().any(|(_, unit)| idle(unit) && unit.failed) {
                    Some(Err(Refusal::Failed))
                } else if units().any(|(_, unit)| idle(unit) && unit.want_until.is_none())
                    && !matches!(self.peer, Peer::Gone(Gone::Dead | Gone::Left | Gone::Never))
                {
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
