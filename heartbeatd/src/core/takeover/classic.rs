//! The other node is heartbeat 3.0.6: its nice-mode protocol (spec/heartbeat.md 6.2 to 6.7),
//! with our answers in the order it expects and none of its waiting.
//!
//! It knows two bags, local and foreign, and says of each when it *begins* to acquire it; so
//! do we towards it. Where it takes everything by messages, a planned switch releases
//! first: it would report a conflict otherwise.
//!
//! Readiness is unknown to it, so ours delays our own steps: `starting`, when it is
//! established and would give our groups back at once, and `other`, for as long as it waits.

mod pending;
mod stuck;

use std::time::{Duration, Instant};

use crate::wire::{Body, Hold, Phase};

use super::bags::Bags;
use super::requests::SwitchKind;
use super::{Effect, Peer, REPLY_WITHIN, Refusal, State, Takeover, Why};
use crate::core::notice::Notice;
use crate::core::plan::GroupId;

/// How long two starting nodes wait for one of them to be stable (spec 6.2).
const SETTLE_WITHIN: Duration = Duration::from_secs(10);

/// It waits 10 s for our `other`; later it would come to nothing.
const ANSWER_WITHIN: Duration = Duration::from_secs(9);

/// How long a standby may take once it was agreed (spec 6.5).
const STANDBY_WITHIN: Duration = Duration::from_secs(3600);

/// How often a switch that has to wait for stability is tried again (spec 6.6b).
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// An orderly stop waits for stability no longer (the original: for ever).
const LEAVE_WITHIN: Duration = Duration::from_secs(30);

/// Where this node is in its start (spec 6.1, variable `state`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    /// `starting` not said.
    #[default]
    Init,
    /// Said.
    Starting,
    /// Said by both.
    BothStarting,
    /// What somebody holds is known.
    Received,
    Stable,
    Shutdown,
}

/// The standby protocol (spec 6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Standby {
    #[default]
    Not,
    /// We asked.
    Me { set: Bags, until: Instant },
    /// It agreed; we release, and it waits so long.
    Releasing { set: Bags, until: Instant },
    /// Released and said so.
    Done { set: Bags, until: Instant },
    /// It asked; we answer when ready. `set` is the giver's.
    Asked { set: Bags, until: Instant },
    /// We agreed; it releases.
    Other { set: Bags, until: Instant },
    /// It has released; we acquire.
    Acquiring { set: Bags },
}

/// What is to be said when all work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Report {
    #[default]
    Nothing,
    /// Our own groups: `req_our_resources()`.
    Own,
    /// Everything, after the peer's death: that and `mach_down`.
    All,
}

#[derive(Debug, Default)]
pub(crate) struct Classic {
    stage: Stage,
    /// What we say that we hold: from when it is begun (spec 6.1).
    held: Bags,
    other_held: Bags,
    /// It has said what it holds since it was met.
    other_told: bool,
    other_stable: bool,
    /// It was active before we were: it holds everything.
    established: bool,
    standby: Standby,
    report: Report,
    /// Bags to give to it as soon as both are stable: failback, and what could not be started here.
    pending: Bags,
    settle_at: Option<Instant>,
    again_at: Option<Instant>,
    leave_at: Option<Instant>,
}

impl Classic {
    pub fn is_stable(&self) -> bool {
        self.other_stable && self.standby == Standby::Not && matches!(self.stage, Stage::Stable | Stage::Shutdown)
    }

    /// Whether it holds a group, given whether the group is at home here.
    pub fn other_holds(&self, home_here: bool) -> bool {
        self.other_held.takes(!home_here)
    }

    /// Whether it may have something in its hands: one that was active before us has everything until it says otherwise,
    /// and says nothing before we have said `starting`.
    pub fn other_may_hold(&self) -> bool {
        self.other_held != Bags::NONE || (self.established && !self.other_told)
    }

    pub fn deadline(&self) -> Option<Instant> {
        let standby = match self.standby {
            Standby::Me { until, .. }
            | Standby::Done { until, .. }
            | Standby::Asked { until, .. }
            | Standby::Other { until, .. } => Some(until),
            Standby::Not | Standby::Releasing { .. } | Standby::Acquiring { .. } => None,
        };
        [standby, self.settle_at, self.again_at, self.leave_at].into_iter().flatten().min()
    }
}

impl Takeover {
    /// It was heard for the first time in its life.
    pub(super) fn classic_meet(&mut self, established: bool, fx: &mut Vec<Effect>) {
        self.classic.established = established;
        self.classic.other_told = false;
        if !self.active || self.letting_go {
            return;
        }
        // We have been here before: what we have, we hold.
        let holds = |home: bool| self.units.iter().any(|unit| unit.home == home && unit.is_here());
        let empty = |home: bool| self.classic.held.takes(home) && !self.units.iter().any(|unit| unit.home == home);
        let bag = |home: bool, bag| if holds(home) || empty(home) { bag } else { Bags::NONE };
        self.classic.held = bag(true, Bags::LOCAL).with(bag(false, Bags::FOREIGN));
        self.classic.stage = Stage::Stable;
        self.classic.other_stable = false;
        self.classic.other_held = Bags::NONE;
        if self.leaving {
            self.classic_shut_down(fx);
        }
    }

    /// Our communication is up and it is there.
    pub(super) fn classic_join(&mut self, fx: &mut Vec<Effect>) {
        if self.ready || !self.classic.established {
            self.classic.stage = Stage::Starting;
            fx.push(Effect::Say(Body::Starting));
        }
    }

    /// We are alone: everything is ours.
    pub(super) fn classic_alone(&mut self) {
        self.classic.stage = Stage::Stable;
        self.classic.held = Bags::ALL;
        self.classic.other_held = Bags::NONE;
        self.classic.other_stable = true;
        self.classic.pending = if self.auto_failback { Bags::FOREIGN } else { Bags::NONE };
    }

    /// It has started anew.
    pub(super) fn classic_peer_began(&mut self, fx: &mut Vec<Effect>) {
        self.classic_cancel(fx);
        self.classic.other_stable = false;
        self.classic.established = false;
    }

    /// It is dead or has left (spec 6.6, 6.7).
    pub(super) fn classic_peer_gone(&mut self, was_old: bool, fx: &mut Vec<Effect>) {
        self.classic_cancel(fx);
        self.classic.settle_at = None;
        if self.leaving {
            self.classic.stage = Stage::Shutdown;
            return;
        }
        self.classic_alone();
        let speaks = was_old && !self.expects_legacy();
        self.classic.report = if speaks { Report::All } else { Report::Nothing };
    }

    fn classic_cancel(&mut self, fx: &mut Vec<Effect>) {
        if self.classic.standby != Standby::Not {
            fx.push(Effect::Note(Notice::StandbyCancelled));
        }
        self.classic.standby = Standby::Not;
        self.classic.again_at = None;
    }

    pub(super) fn classic_said(&mut self, now: Instant, body: &Body, fx: &mut Vec<Effect>) {
        if self.is_legacy() {
            return self.legacy_said(now, body, fx);
        }
        match body {
            Body::Starting => self.classic_starting(now, fx),
            Body::Resource { hold, full, stable, .. } => {
                self.classic_resource(now, Bags::from(*hold), *full, *stable, fx);
            }
            Body::AskResources { hold, phase } => self.classic_ask(now, Bags::from(*hold), *phase, fx),
            Body::HbTakeover { hold } => {
                let node = self.other.clone();
                fx.push(Effect::Note(Notice::WantsTakeover { node: node.clone(), set: hold.as_str() }));
                if let Err(refusal) = self.classic_give(now, Bags::from(*hold).mirrored(), fx) {
                    let why = match refusal {
                        Refusal::PeerInFlux => "Other side is in flux",
                        Refusal::Stuck => "A resource cannot be stopped here",
                        _ => "local resources in flux",
                    };
                    fx.push(Effect::Note(Notice::StandbyIgnored { phase: "takeover", node, why }));
                }
            }
            Body::Status { .. }
            | Body::Ack { .. }
            | Body::Rexmit { .. }
            | Body::NakRexmit { .. }
            | Body::ReqNodes { .. }
            | Body::RepNodes { .. }
            | Body::IpRequest { .. }
            | Body::IpRequestResp { .. }
            | Body::Shutdone
            | Body::Stonith { .. }
            | Body::Client { .. }
            | Body::Unknown { .. } => {}
        }
        self.classic_worked(now, fx);
    }

    /// Says what we hold. That alone ends the wait for the first such message.
    fn classic_tell(&mut self, now: Instant, stable: bool, info: Option<&str>, fx: &mut Vec<Effect>) {
        self.classic_received(now);
        let info = info.map(str::to_owned);
        let hold = Hold::from(self.classic.held);
        fx.push(Effect::Say(Body::Resource { hold, full: true, stable: Some(stable), info }));
    }

    fn classic_received(&mut self, now: Instant) {
        match self.classic.stage {
            Stage::Starting | Stage::BothStarting => {
                self.classic.stage = Stage::Received;
                self.classic.settle_at = Some(now + SETTLE_WITHIN);
            }
            Stage::Init | Stage::Received | Stage::Stable | Stage::Shutdown => {}
        }
    }

    fn classic_starting(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        match self.classic.stage {
            Stage::Init if !self.active => return,
            Stage::Init => {
                // It starts as well, so nobody has anything: no reason to wait until we are ready.
                self.classic.stage = Stage::BothStarting;
                fx.push(Effect::Say(Body::Starting));
            }
            Stage::Starting => self.classic.stage = Stage::BothStarting,
            Stage::BothStarting | Stage::Received | Stage::Stable | Stage::Shutdown => {}
        }
        self.classic.other_stable = false;
        self.classic_tell(now, self.classic.stage == Stage::Stable, None, fx);
    }

    fn classic_resource(&mut self, now: Instant, hold: Bags, full: bool, stable: Option<bool>, fx: &mut Vec<Effect>) {
        self.classic.other_told = true;
        self.classic.other_held = if full || hold == Bags::NONE { hold } else { self.classic.other_held.with(hold) };
        if self.classic.stage == Stage::Init {
            self.classic.other_stable = stable.unwrap_or(self.classic.other_stable);
            return;
        }
        self.classic_received(now);
        match stable {
            None => {}
            Some(false) => self.classic.other_stable = false,
            Some(true) => {
                if !std::mem::replace(&mut self.classic.other_stable, true) {
                    fx.push(Effect::Note(Notice::RemoteTransitionCompleted));
                    self.classic_tell(now, self.classic.stage == Stage::Stable, None, fx);
                }
                match self.classic.stage {
                    Stage::Received => {
                        fx.push(Effect::Note(Notice::RemoteTransitionCompleted));
                        self.classic_become_stable(now, fx);
                    }
                    // It came back within its dead time and had our groups before.
                    Stage::Stable if self.classic.standby == Standby::Not => self.classic_acquire_own(fx),
                    Stage::Init | Stage::Starting | Stage::BothStarting | Stage::Stable | Stage::Shutdown => {}
                }
                self.classic_give_pending(now, fx);
            }
        }
    }

    fn classic_become_stable(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        self.classic_acquire_own(fx);
        self.classic.stage = Stage::Stable;
        self.classic.settle_at = None;
        self.classic_tell(now, true, None, fx);
    }

    /// Spec 6.3: our own groups, unless it has them or we do.
    fn classic_acquire_own(&mut self, fx: &mut Vec<Effect>) {
        let fresh = self.classic.stage != Stage::Stable;
        if self.leaving
            || self.maintenance
            || self.classic.other_held.has(Bags::FOREIGN)
            || self.classic.held.has(Bags::LOCAL)
        {
            if fresh {
                fx.push(Effect::Note(Notice::LocalAcquisitionCompleted { none: true }));
            }
            return;
        }
        self.classic.report = Report::Own;
        self.classic_acquire(Bags::LOCAL, Why::Vacant, fx);
    }

    fn classic_acquire(&mut self, bags: Bags, why: Why, fx: &mut Vec<Effect>) {
        self.classic.held = self.classic.held.with(bags);
        for at in 0..self.units.len() {
            if bags.takes(self.units[at].home) && matches!(self.units[at].state, State::Free | State::Claiming) {
                self.acquire(GroupId(at), why, fx);
            }
        }
    }

    /// Groups still being started are released when that has ended.
    pub(super) fn classic_release(&mut self, bags: Bags, why: Why, fx: &mut Vec<Effect>) {
        self.classic.held = self.classic.held.without(bags);
        for at in 0..self.units.len() {
            if !bags.takes(self.units[at].home) {
                continue;
            }
            match self.units[at].state {
                State::Held | State::Offering => self.release(GroupId(at), why, fx),
                State::Acquiring => self.units[at].give = Some(why),
                State::Free | State::Claiming | State::Releasing | State::Stuck => {}
            }
        }
    }

    fn classic_ask(&mut self, now: Instant, set: Bags, phase: Phase, fx: &mut Vec<Effect>) {
        if self.classic.stage == Stage::Shutdown {
            return;
        }
        let node = self.other.clone();
        let ignored = |why| Effect::Note(Notice::StandbyIgnored { phase: phase.as_str(), node: node.clone(), why });
        match (phase, self.classic.standby) {
            (Phase::Me, Standby::Not) if !self.classic.other_stable => fx.push(ignored("Other side is in flux")),
            (Phase::Me, Standby::Not) if self.classic.stage != Stage::Stable => {
                fx.push(ignored("local resources in flux"));
            }
            (Phase::Me, Standby::Not) => {
                fx.push(Effect::Note(Notice::WantsStandby { node: node.clone(), set: set.as_str() }));
                self.classic.other_stable = false;
                if self.ready && !self.is_cut_off() {
                    self.classic_agree(now, set, fx);
                } else {
                    fx.push(Effect::Note(Notice::StandbyWaitsForReady { node }));
                    self.classic.standby = Standby::Asked { set, until: now + ANSWER_WITHIN };
                }
            }
            (
                Phase::Me,
                Standby::Me { .. }
                | Standby::Releasing { .. }
                | Standby::Done { .. }
                | Standby::Asked { .. }
                | Standby::Other { .. }
                | Standby::Acquiring { .. },
            ) => fx.push(ignored("Standby in progress")),
            (Phase::Other, Standby::Me { set: ours, .. }) => {
                fx.push(Effect::Note(Notice::StandbyAccepted { node, set: ours.as_str() }));
                self.classic.standby = Standby::Releasing { set: ours, until: now + STANDBY_WITHIN };
                self.classic.held = self.classic.held.without(ours);
                self.classic_tell(now, false, Some("standby"), fx);
                self.classic_release(ours, Why::Standby, fx);
            }
            (Phase::Done, Standby::Done { set: ours, .. }) => {
                fx.push(Effect::Note(Notice::StandbyCompleted { set: ours.as_str() }));
                self.classic.standby = Standby::Not;
                self.classic_tell(now, true, None, fx);
                if self.switch.as_ref().is_some_and(|switch| switch.kind == SwitchKind::Give) {
                    self.end_switch(Ok(()), fx);
                }
            }
            (Phase::Done, Standby::Other { set, .. } | Standby::Asked { set, .. }) => {
                fx.push(Effect::Note(Notice::StandbyTaking { node, set: set.as_str() }));
                self.classic.standby = Standby::Acquiring { set };
                self.classic_acquire(set.mirrored(), Why::Standby, fx);
            }
            (
                Phase::Other,
                Standby::Not
                | Standby::Releasing { .. }
                | Standby::Done { .. }
                | Standby::Asked { .. }
                | Standby::Other { .. }
                | Standby::Acquiring { .. },
            )
            | (
                Phase::Done,
                Standby::Not | Standby::Me { .. } | Standby::Releasing { .. } | Standby::Acquiring { .. },
            ) => fx.push(ignored("It was not expected")),
        }
    }

    fn classic_agree(&mut self, now: Instant, set: Bags, fx: &mut Vec<Effect>) {
        self.classic.standby = Standby::Other { set, until: now + STANDBY_WITHIN };
        fx.push(Effect::Say(Body::AskResources { hold: Hold::from(set), phase: Phase::Other }));
    }

    /// Begins a standby with us as giver.
    pub(super) fn classic_give(&mut self, now: Instant, set: Bags, fx: &mut Vec<Effect>) -> Result<(), Refusal> {
        if self.classic.standby != Standby::Not || self.classic.stage != Stage::Stable || self.leaving {
            return Err(Refusal::Busy);
        }
        if self.has_stuck(set) {
            return Err(Refusal::Stuck);
        }
        if !self.classic.other_stable {
            return Err(Refusal::PeerInFlux);
        }
        fx.push(Effect::Note(Notice::WantsStandby { node: self.me.clone(), set: set.as_str() }));
        self.classic.other_stable = false;
        self.classic.standby = Standby::Me { set, until: now + REPLY_WITHIN };
        fx.push(Effect::Say(Body::AskResources { hold: Hold::from(set), phase: Phase::Me }));
        Ok(())
    }

    /// Some work has ended: when all has, what was to follow it follows.
    pub(super) fn classic_worked(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        for at in 0..self.units.len() {
            if self.peer == Peer::Old && self.units[at].state == State::Held && self.units[at].give.is_some() {
                let why = self.units[at].give.unwrap_or(Why::Standby);
                self.release(GroupId(at), why, fx);
            }
        }
        if self.is_legacy() {
            return self.legacy_worked(now, fx);
        }
        let busy = |state| matches!(state, State::Acquiring | State::Releasing);
        if self.letting_go || self.units.iter().any(|unit| busy(unit.state)) {
            return;
        }
        match std::mem::take(&mut self.classic.report) {
            Report::Nothing => {}
            report @ (Report::Own | Report::All) => {
                fx.push(Effect::Note(Notice::LocalAcquisitionCompleted { none: false }));
                self.classic_tell(now, true, Some("req_our_resources()"), fx);
                if report == Report::All {
                    let info = Some("mach_down".to_owned());
                    fx.push(Effect::Say(Body::Resource { hold: Hold::Foreign, full: false, stable: None, info }));
                }
            }
        }
        match self.classic.standby {
            // What still runs here it must not start; that it is asked to wait, it was told.
            Standby::Releasing { set, .. } if self.has_stuck(set) => {}
            Standby::Releasing { set, .. } => {
                self.classic_tell_freed(now, set, fx);
                self.classic.standby = Standby::Done { set, until: now + STANDBY_WITHIN };
                fx.push(Effect::Say(Body::AskResources { hold: Hold::from(set), phase: Phase::Done }));
                fx.push(Effect::Note(Notice::StandbyGiven { set: set.as_str() }));
            }
            Standby::Acquiring { set } => {
                self.classic.standby = Standby::Not;
                self.classic_tell(now, true, None, fx);
                fx.push(Effect::Say(Body::AskResources { hold: Hold::from(set), phase: Phase::Done }));
                fx.push(Effect::Note(Notice::StandbyTaken { set: set.as_str() }));
                self.check_switch(fx);
            }
            Standby::Not
            | Standby::Me { .. }
            | Standby::Done { .. }
            | Standby::Asked { .. }
            | Standby::Other { .. } => {}
        }
        if self.classic.pending.has(Bags::LOCAL) && self.classic.again_at.is_none() {
            self.classic_give_pending(now, fx);
        }
        if self.classic.leave_at.is_some() && self.classic.is_stable() {
            self.classic_shut_down(fx);
        }
    }

    pub(super) fn classic_ready(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        if self.is_legacy() {
            return self.legacy_tick(now, fx);
        }
        if self.peer != Peer::Old || !self.ready || self.is_cut_off() {
            return;
        }
        if self.active && self.classic.stage == Stage::Init {
            self.classic_join(fx);
        }
        if let Standby::Asked { set, .. } = self.classic.standby {
            self.classic_agree(now, set, fx);
        }
    }

    pub(super) fn classic_tick(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        if self.is_legacy() {
            return self.legacy_tick(now, fx);
        }
        if self.peer != Peer::Old || self.letting_go {
            return;
        }
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.classic.settle_at) {
            self.classic.settle_at = None;
            if self.classic.stage == Stage::Received {
                fx.push(Effect::Note(Notice::LocalTransitionCompleted));
                self.classic_become_stable(now, fx);
            }
        }
        match self.classic.standby {
            Standby::Me { until, .. }
            | Standby::Done { until, .. }
            | Standby::Asked { until, .. }
            | Standby::Other { until, .. }
                if until <= now =>
            {
                fx.push(Effect::Note(Notice::StandbyNoReply));
                self.classic.standby = Standby::Not;
                self.classic.other_stable = true;
                self.end_switch(Err(Refusal::NoReply), fx);
            }
            Standby::Not
            | Standby::Me { .. }
            | Standby::Releasing { .. }
            | Standby::Done { .. }
            | Standby::Asked { .. }
            | Standby::Other { .. }
            | Standby::Acquiring { .. } => {}
        }
        self.classic_tick_stuck(now, fx);
        if due(self.classic.again_at) {
            self.classic.again_at = None;
            self.classic_give_pending(now, fx);
        }
        if due(self.classic.leave_at) {
            self.classic_shut_down(fx);
        }
        self.classic_worked(now, fx);
    }

    /// Spec 6.6: not before both are stable.
    pub(super) fn classic_leave(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        if self.is_legacy() {
            return self.legacy_leave(fx);
        }
        if self.peer != Peer::Old || !self.active {
            return;
        }
        if self.classic.is_stable() || self.classic.stage == Stage::Init {
            self.classic_shut_down(fx);
        } else {
            fx.push(Effect::Note(Notice::ShutdownDelayed));
            self.classic.leave_at = Some(now + LEAVE_WITHIN);
        }
    }

    fn classic_shut_down(&mut self, fx: &mut Vec<Effect>) {
        self.classic.leave_at = None;
        self.classic.settle_at = None;
        self.classic.stage = Stage::Shutdown;
        self.classic.standby = Standby::Not;
        let stuck = self.stuck_bags();
        // Said when nothing is held any more.
        let info = (stuck == Bags::NONE).then(|| "shutdown".to_owned());
        fx.push(Effect::Say(Body::Resource { hold: Hold::from(stuck), full: true, stable: Some(false), info }));
        self.classic_release(Bags::ALL, Why::Stop, fx);
        self.classic.held = stuck;
    }

    /// Whether a node that is leaving and has nothing left may go.
    pub(super) fn classic_may_go(&self) -> bool {
        self.peer != Peer::Old || self.is_legacy() || !self.active || self.classic.stage == Stage::Shutdown
    }
}
