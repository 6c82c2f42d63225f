//! Who has which group (spec/heartbeat.md 6), for two nodes.
//!
//! Two heartbeatd decide group by group, by what each says of itself in every status
//! ([`native`]). With heartbeat 3.0.6 on the other side its own protocol is spoken, which
//! knows only two bags, local and foreign ([`classic`]). What is common to both is here:
//! the groups, the operator's requests, readiness, leaving, and the other node's death.
//!
//! A state changes to `Held` or `Free` only when whoever does the work has reported it:
//! what is told to others is what is, not what was meant.

mod bags;
mod classic;
mod fencing;
mod legacy;
mod maintenance;
mod native;
mod peer;
mod requests;
mod settle;
mod silent;
mod stuck;
mod unit;
mod word;

use std::time::{Duration, Instant};

use crate::wire::Body;

use super::Settings;
use super::notice::Notice;
use super::plan::{GroupId, Plan};
use super::seldom::Seldom;
use classic::Classic;
use fencing::Fencing;
use legacy::Legacy;
pub use requests::{Refusal, Ticket, Which};
pub(crate) use requests::{SWITCH_WITHIN, Switch, SwitchKind};
pub use silent::{Awaited, FencingWord, Silent};
pub(crate) use stuck::{Heir, Resort, end_of_stop, says_stuck};
pub(crate) use unit::Unit;
pub use unit::{State, Why, Will};
pub use word::{Echo, Files, Said, Unreadable, Word};

/// How long an offer or a request stands that the other node does not take up (spec 6.5).
pub(crate) const REPLY_WITHIN: Duration = Duration::from_secs(10);

/// A group that could not be started is not tried again here before.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(10);

/// What is to be done; in this order.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Send to everybody.
    Say(Body),
    /// Send a status now: our word has changed, or an answer is waited for.
    Tell,
    Acquire(GroupId, Why),
    Release(GroupId, Why),
    Announce(GroupId),
    /// Whether this node serves connections or stands by.
    Serving(bool),
    /// Switch a node off: the attempt with this number.
    Fence {
        node: String,
        attempt: u64,
    },
    /// Stop the attempt under way.
    StopFencing {
        node: String,
    },
    Note(Notice),
    Answer(Ticket, Result<(), Refusal>),
    /// Leaving, and nothing is left here.
    Left,
    /// To be on the safe side with an old heartbeat, or to be fenced, come back as a new life.
    ComeBack,
    /// Reboot this machine: that group cannot be stopped.
    Reboot(String),
}

/// What is known of the other node.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Peer {
    Unknown,
    /// heartbeat 3.0.6.
    Old,
    /// heartbeatd, and its last word.
    Ours(Word),
    /// Silent, and not yet known to be off: see [`fencing`].
    Unfenced,
    Gone(Gone),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    Dead,
    Left,
    /// There is no other node in the configuration.
    Never,
}

pub(crate) struct Takeover {
    me: String,
    /// Our present life: an echo of an earlier one proves nothing.
    life: u64,
    /// What our files say, for the other node to compare.
    files: Files,
    /// The nodes of ha.cf.
    nodes: u32,
    other: String,
    plan: Plan,
    auto_failback: bool,
    /// There is a fencing device.
    fences: bool,
    fencing: Option<Fencing>,
    /// Attempts to switch it off since the program started, over all deaths.
    attempts: u64,
    /// A device said that the node was reset, and nothing was heard of it since.
    said_off: bool,
    /// Number of the first of the statuses since which all have said that we have something.
    has_since: Option<u64>,
    /// It was told that there is no fencing device.
    told_unfenced: bool,
    units: Vec<Unit>,
    peer: Peer,
    /// Communication is up.
    active: bool,
    ready: bool,
    /// Every group has been in somebody's hands since communication came up.
    settled: bool,
    leaving: bool,
    /// Nothing is taken or given but by an administrator.
    maintenance: bool,
    /// Everything is let go to come back as a new life.
    letting_go: bool,
    /// What is done about a group that cannot be stopped.
    resort: Resort,
    serving: bool,
    left: bool,
    switch: Option<Switch>,
    classic: Classic,
    legacy: Legacy,
    /// What the peer said in the old protocol before a status told which one it speaks.
    /// Another heartbeatd that was alone says such things too.
    unread: Vec<Body>,
    /// Our word as last told, without the echo.
    told: Option<Word>,
    seldom: Seldom,
}

impl Takeover {
    pub fn new(settings: &Settings, me: &str) -> Self {
        let other = settings.nodes.iter().find(|name| *name != me);
        let units = settings.plan.iter().map(|(_, group)| Unit::new(group.home == me, group.overlaps)).collect();
        Self {
            me: me.to_owned(),
            life: 0,
            files: settings.files,
            nodes: Plan::cluster_mark(&settings.nodes),
            other: other.cloned().unwrap_or_default(),
            plan: settings.plan.clone(),
            auto_failback: settings.auto_failback,
            fences: settings.fences,
            fencing: None,
            attempts: 0,
            said_off: false,
            has_since: None,
            told_unfenced: false,
            units,
            peer: if other.is_some() { Peer::Unknown } else { Peer::Gone(Gone::Never) },
            active: false,
            ready: false,
            settled: false,
            leaving: false,
            maintenance: false,
            letting_go: false,
            resort: Resort::new(settings.stop_failure),
            serving: false,
            left: false,
            switch: None,
            classic: Classic::default(),
            legacy: Legacy::new(settings.legacy),
            unread: Vec::new(),
            told: None,
            seldom: Seldom::default(),
        }
    }

    /// Our word, but for the echo.
    pub fn word(&self) -> Word {
        let groups = self.units.iter().zip(self.plan.tags()).map(|(unit, &tag)| Said {
            tag,
            state: unit.state,
            term: if unit.is_here() { unit.term } else { unit.seen },
            will: unit.will(self.leaving, self.maintenance),
            rank: 0,
            to: None,
        });
        let Self { active, ready, settled, maintenance, life, files, nodes, .. } = *self;
        let (groups, fencing) = (groups.collect(), FencingWord { devices: self.fences, silent: Vec::new() });
        Word { active, ready, settled, maintenance, life, files, nodes, groups, fencing, ..Word::default() }
    }

    /// Our word has left in the status with this number. Tells whether it is another than before.
    pub fn told(&mut self, word: Word, seq: u64) -> bool {
        for unit in &mut self.units {
            if unit.state == State::Claiming && unit.claim_told.is_none() {
                unit.claim_told = Some(seq);
            }
        }
        self.note_told(&word, seq);
        let word = Word { heard: None, ..word };
        let changed = self.told.as_ref() != Some(&word);
        self.told = Some(word);
        changed
    }

    /// Whether nobody waits to hear the status with this number, or it is known to have arrived.
    pub fn peer_knows(&self, seq: u64) -> bool {
        match &self.peer {
            Peer::Ours(word) => word.heard.is_some_and(|(life, heard)| life == self.life && heard >= seq),
            Peer::Unknown | Peer::Old | Peer::Unfenced | Peer::Gone(_) => true,
        }
    }

    /// The other node's name.
    pub fn other(&self) -> &str {
        &self.other
    }

    pub fn is_here(&self) -> bool {
        self.units.iter().any(Unit::is_here)
    }

    /// Groups whose addresses may be kept alive.
    pub fn leases(&self) -> impl Iterator<Item = GroupId> {
        let keep = |unit: &Unit| matches!(unit.state, State::Acquiring | State::Held | State::Offering);
        self.units.iter().enumerate().filter(move |(_, unit)| keep(unit)).map(|(at, _)| GroupId(at))
    }

    pub fn state(&self, group: GroupId) -> Option<State> {
        self.units.get(group.0).map(|unit| unit.state)
    }

    pub fn failed(&self, group: GroupId) -> bool {
        self.units.get(group.0).is_some_and(|unit| unit.failed)
    }

    pub fn peer_is_old(&self) -> bool {
        self.peer == Peer::Old
    }

    /// Whether the peer has the group, as far as known.
    pub fn peer_holds(&self, group: GroupId) -> bool {
        match (&self.peer, self.units.get(group.0), self.plan.tags().get(group.0)) {
            (Peer::Ours(word), Some(_), Some(tag)) => {
                let said = word.groups.iter().find(|said| said.tag == *tag);
                said.is_some_and(|said| matches!(said.state, State::Held | State::Offering))
            }
            (Peer::Old, Some(_), _) if self.is_legacy() => self.legacy_other_holds(group.0),
            (Peer::Old, Some(unit), _) => self.classic.other_holds(unit.home),
            (Peer::Unknown | Peer::Unfenced | Peer::Gone(_) | Peer::Ours(_) | Peer::Old, _, _) => false,
        }
    }

    /// Whether nothing is being moved.
    pub fn is_stable(&self) -> bool {
        let quiet = |unit: &Unit| matches!(unit.state, State::Free | State::Held | State::Stuck);
        self.active
            && self.fencing.is_none()
            && self.units.iter().all(quiet)
            && self.switch.is_none()
            && match self.peer {
                Peer::Old if self.is_legacy() => self.legacy.is_stable(),
                Peer::Old => self.classic.is_stable(),
                Peer::Unknown | Peer::Unfenced | Peer::Ours(_) | Peer::Gone(_) => true,
            }
    }

    /// Starting a group has ended.
    pub fn acquired(&mut self, now: Instant, group: GroupId, ok: bool, fx: &mut Vec<Effect>) {
        let Some(unit) = self.units.get_mut(group.0) else { return };
        if unit.state != State::Acquiring {
            return;
        }
        let key = self.plan.get(group).map(|group| group.key.clone()).unwrap_or_default();
        unit.want_until = None;
        if ok {
            unit.state = State::Held;
            unit.failed = false;
            unit.away = false;
            fx.push(Effect::Announce(group));
            fx.push(Effect::Note(Notice::Started { group: key }));
            if self.letting_go {
                self.release(group, Why::Restart, fx);
            }
        } else {
            unit.state = State::Free;
            unit.failed = true;
            unit.retry_at = Some(now + RETRY_AFTER);
            fx.push(Effect::Note(Notice::StartFailed { group: key }));
            self.classic_start_failed(group);
        }
        self.classic_worked(now, fx);
        self.settle(now, fx);
    }

    /// Stopping a group has ended. Whatever became of its scripts, its addresses are off.
    pub fn released(&mut self, now: Instant, group: GroupId, ok: bool, fx: &mut Vec<Effect>) {
        let Some(unit) = self.units.get_mut(group.0) else { return };
        let Some(was_stuck) = unit.stopped() else { return };
        let key = self.plan.get(group).map(|group| group.key.clone()).unwrap_or_default();
        fx.push(Effect::Note(end_of_stop(key, ok, was_stuck)));
        self.classic_freed(now, group, fx);
        self.classic_worked(now, fx);
        self.settle(now, fx);
    }

    /// Something of a group that we hold does not run any more: the other node is to have it, or it is started anew. Not in
    /// maintenance, when an administrator may have stopped it, and not while it could not be taken again; it is told once and
    /// comes again.
    pub fn fails(&mut self, now: Instant, group: GroupId, resource: String, fx: &mut Vec<Effect>) {
        let other_could = match &self.peer {
            Peer::Ours(word) => {
                let willing = self.said(group).is_some_and(|said| said.will != Will::Unable);
                word.active && word.ready && willing
            }
            Peer::Old => !self.has_siblings_here(group),
            Peer::Unknown | Peer::Unfenced | Peer::Gone(_) => false,
        };
        let key = self.plan.get(group).map(|group| group.key.clone()).unwrap_or_default();
        let Some(unit) = self.units.get_mut(group.0).filter(|unit| unit.state == State::Held) else { return };
        if !std::mem::replace(&mut unit.broken, true) {
            fx.push(Effect::Note(Notice::Failed { group: key, resource }));
        }
        if self.maintenance || matches!(self.peer, Peer::Unknown | Peer::Unfenced) {
            return;
        }
        unit.fails(now, other_could);
        self.release(group, Why::Failed, fx);
        self.settle(now, fx);
    }

    /// Whether another group of the same home runs here: an old heartbeat takes all of a home, or none.
    fn has_siblings_here(&self, group: GroupId) -> bool {
        let home = self.units.get(group.0).is_some_and(|unit| unit.home);
        self.units.iter().enumerate().any(|(at, unit)| at != group.0 && unit.home == home && unit.is_here())
    }

    /// Whether this node could serve at once.
    pub fn set_ready(&mut self, now: Instant, ready: bool, fx: &mut Vec<Effect>) {
        if std::mem::replace(&mut self.ready, ready) == ready {
            return;
        }
        fx.push(Effect::Note(if ready { Notice::Ready } else { Notice::NotReady }));
        self.classic_ready(now, fx);
        self.settle(now, fx);
    }

    /// Whether nobody can reach the group here, and whether for so long that the other node should rather have it.
    pub fn set_cut_off(&mut self, now: Instant, group: GroupId, cut_off: bool, dead: bool, fx: &mut Vec<Effect>) {
        let Some(unit) = self.units.get_mut(group.0) else { return };
        let (turned, changed) = unit.set_cut_off(cut_off, dead);
        if turned && self.is_cut_off() {
            self.put_off_fencing(now, fx);
        }
        if changed {
            self.classic_ready(now, fx);
            self.settle(now, fx);
        }
    }

    /// Whether nobody can reach any group here: who is silent may be serving them, and is not to be switched off by us.
    pub(super) fn is_cut_off(&self) -> bool {
        self.plan.each_addressed(|id| self.units.get(id.0).is_some_and(|unit| unit.cut_off))
    }

    /// Our files have been read again.
    pub fn set_files(&mut self, now: Instant, files: Files, fx: &mut Vec<Effect>) {
        self.files = files;
        self.settle(now, fx);
    }

    /// Orderly stop (spec 6.6): give what can be given, release the rest, then [`Effect::Left`].
    pub fn leave(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        if std::mem::replace(&mut self.leaving, true) {
            return;
        }
        fx.push(Effect::Note(Notice::ShuttingDown));
        self.end_switch(Err(Refusal::Leaving), fx);
        self.end_fencing(fx);
        for unit in &mut self.units {
            unit.want_until = None;
        }
        self.classic_leave(now, fx);
        self.settle(now, fx);
    }

    /// Lets go of everything at once, to come back as a new life.
    pub fn let_go(&mut self, fx: &mut Vec<Effect>) {
        self.letting_go = true;
        self.end_switch(Err(Refusal::Starting), fx);
        self.end_fencing(fx);
        for at in 0..self.units.len() {
            match self.units[at].state {
                State::Held | State::Offering => self.release(GroupId(at), Why::Restart, fx),
                State::Claiming => self.units[at].state = State::Free,
                State::Free | State::Acquiring | State::Releasing | State::Stuck => {}
            }
        }
        self.tell_serving(fx);
    }

    /// A new life begins; nothing is here. What was seen of tenancies is kept, and which starts have failed, what
    /// ldirectord has said, and maintenance.
    pub fn begin_life(&mut self, life: u64) {
        self.life = life;
        self.letting_go = false;
        self.resort.begin_life();
        self.active = false;
        self.settled = false;
        self.classic = Classic::default();
        self.legacy.begin(false);
        self.unread.clear();
        self.told = None;
        self.has_since = None;
        if self.peer != Peer::Gone(Gone::Never) {
            self.peer = Peer::Unknown;
        }
        self.units.iter_mut().for_each(Unit::begin_life);
        self.classic_begin_stuck();
    }

    /// What time brings.
    pub fn tick(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        self.expire_switch(now, fx);
        self.tick_fencing(now, fx);
        self.tick_stuck(now, fx);
        self.classic_tick(now, fx);
        self.settle(now, fx);
    }

    /// When [`tick`](Self::tick) next has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let units = self.units.iter().flat_map(Unit::deadlines);
        let classic = match self.peer {
            Peer::Old if self.is_legacy() => self.legacy.deadline(),
            Peer::Old => self.classic.deadline(),
            Peer::Unknown | Peer::Unfenced | Peer::Ours(_) | Peer::Gone(_) => None,
        };
        let switch = self.switch.as_ref().map(|switch| switch.until);
        units.chain([switch, classic, self.fencing_deadline()].into_iter().flatten()).min()
    }

    fn check_settled(&mut self) {
        let in_hands = |(at, unit): (usize, &Unit)| {
            matches!(unit.state, State::Held | State::Offering | State::Stuck) || self.peer_holds(GroupId(at))
        };
        self.settled |= self.active && self.units.iter().enumerate().all(in_hands);
    }

    fn acquire(&mut self, id: GroupId, why: Why, fx: &mut Vec<Effect>) {
        let Some(unit) = self.units.get_mut(id.0) else { return };
        unit.begins();
        let group = self.plan.get(id).map(|group| group.key.clone()).unwrap_or_default();
        fx.push(Effect::Note(Notice::TakingOver { group, why }));
        fx.push(Effect::Acquire(id, why));
    }

    fn release(&mut self, id: GroupId, why: Why, fx: &mut Vec<Effect>) {
        let Some(unit) = self.units.get_mut(id.0) else { return };
        unit.state = State::Releasing;
        unit.offer_until = None;
        unit.contested = false;
        let group = self.plan.get(id).map(|group| group.key.clone()).unwrap_or_default();
        fx.push(Effect::Note(Notice::GivingUp { group, why }));
        fx.push(Effect::Release(id, why));
    }

    fn tell_serving(&mut self, fx: &mut Vec<Effect>) {
        let serving = self.units.iter().any(|unit| matches!(unit.state, State::Held | State::Offering));
        if std::mem::replace(&mut self.serving, serving) != serving {
            fx.push(Effect::Serving(serving));
        }
    }
}
