//! Who has which group where there are three nodes or more, all of them heartbeatd.
//!
//! Each node says in every status how it stands to every group and which nodes it hears; each acts on the last status of
//! every other ([`rules`]). There is no leader and nothing to agree on but the groups. What a node says reaches the others
//! through a third as well ([`Action::PassOn`](crate::core::Action::PassOn)), so nodes that hear each other on some way
//! are one cluster.
//!
//! A part of the cluster that is cut off goes on by itself, however small: the last of three directors serves, as the last
//! of two does. Which of two parts the clients reach, the nodes cannot know; when they hear each other again, all but one
//! let go at once.

mod fencing;
mod members;
mod requests;
mod rules;
mod settle;
mod stuck;

use std::time::{Duration, Instant};

use super::Settings;
use super::notice::Notice;
use super::plan::{GroupId, Plan};
use super::seldom::Seldom;
use super::takeover::{
    Effect, Files, Gone, RETRY_AFTER, Refusal, Resort, Said, State, Switch, Unit, Why, Word, end_of_stop,
};
use fencing::Fencing;

/// What is known of another node.
#[derive(Debug, Clone, PartialEq, Eq)]
enum View {
    /// Not heard yet in its present life, and not given up.
    Unknown,
    /// heartbeat 3.0.6, which cannot be part of this.
    Old,
    /// Its last word.
    Says(Word),
    /// Silent, and not yet known to be off: see [`fencing`].
    Unfenced,
    Gone(Gone),
}

/// Another node.
#[derive(Debug)]
struct Member {
    name: String,
    /// Its name in words.
    mark: u32,
    view: View,
    /// Its place in ha.cf.
    place: usize,
    /// Its last known life, that of a node that has left too.
    life: Option<u64>,
    /// A life has begun of which nothing is known but that.
    began: bool,
    fencing: Option<Fencing>,
    /// A device said that it was reset, and nothing was heard of it since.
    said_off: bool,
}

impl Member {
    fn word(&self) -> Option<&Word> {
        match &self.view {
            View::Says(word) => Some(word),
            View::Unknown | View::Old | View::Unfenced | View::Gone(_) => None,
        }
    }
}

/// One group as this node stands to it.
#[derive(Debug)]
struct Share {
    unit: Unit,
    /// Our place among its homes.
    rank: u8,
    /// Which of the others it is offered to.
    to: Option<usize>,
    /// What became of the node that had it.
    lost: Option<Why>,
}

pub(crate) struct Cluster {
    me: String,
    mark: u32,
    /// Our place in ha.cf.
    place: usize,
    life: u64,
    files: Files,
    /// The nodes of ha.cf.
    nodes: u32,
    plan: Plan,
    auto_failback: bool,
    /// There are fencing devices.
    fences: bool,
    deadtime: Duration,
    /// Attempts to switch somebody off since the program started.
    attempts: u64,
    /// When the next one begins.
    fence_at: Option<Instant>,
    /// Somebody was heard since the program started.
    met: bool,
    shares: Vec<Share>,
    members: Vec<Member>,
    /// Communication is up.
    active: bool,
    ready: bool,
    /// Every group has been in somebody's hands since communication came up.
    settled: bool,
    leaving: bool,
    /// Nothing is taken or given but by an administrator.
    maintenance: bool,
    letting_go: bool,
    /// What is done about a group that cannot be stopped.
    resort: Resort,
    serving: bool,
    left: bool,
    switch: Option<Switch>,
    /// Our word as last told, without the numbers of what was heard.
    told: Option<Word>,
    /// It was told that there is no fencing device.
    told_unfenced: bool,
    seldom: Seldom,
}

/// What counts as a change of a word: not that another status was taken in.
fn substance(word: &Word) -> Word {
    let mut word = Word { heard: None, ..word.clone() };
    word.echoes.iter_mut().for_each(|echo| echo.seq = 0);
    word
}

impl Cluster {
    pub fn new(settings: &Settings, me: &str) -> Self {
        let shares = settings.plan.iter().map(|(_, group)| {
            let rank = Plan::rank(group, &settings.nodes, me);
            Share { unit: Unit::new(rank == 0, group.overlaps), rank, to: None, lost: None }
        });
        let others = settings.nodes.iter().enumerate().filter(|(_, name)| *name != me);
        let member = |(place, name): (usize, &String)| Member {
            name: name.clone(),
            mark: Plan::mark(name),
            view: View::Unknown,
            place,
            life: None,
            began: false,
            fencing: None,
            said_off: false,
        };
        Self {
            me: me.to_owned(),
            mark: Plan::mark(me),
            place: settings.nodes.iter().position(|name| name == me).unwrap_or_default(),
            life: 0,
            files: settings.files,
            nodes: Plan::cluster_mark(&settings.nodes),
            auto_failback: settings.auto_failback,
            fences: settings.fences,
            deadtime: settings.deadtime,
            attempts: 0,
            fence_at: None,
            met: false,
            shares: shares.collect(),
            members: others.map(member).collect(),
            plan: settings.plan.clone(),
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
            told: None,
            told_unfenced: false,
            seldom: Seldom::default(),
        }
    }

    /// Our word, but for what was heard.
    pub fn word(&self) -> Word {
        let groups = self.shares.iter().zip(self.plan.tags()).map(|(share, &tag)| Said {
            tag,
            state: share.unit.state,
            term: if share.unit.is_here() { share.unit.term } else { share.unit.seen },
            will: share.unit.will(self.leaving, self.maintenance),
            rank: share.rank,
            to: share.to.and_then(|to| self.members.get(to)).map(|member| member.mark),
        });
        let Self { active, ready, settled, maintenance, left, life, files, nodes, .. } = *self;
        let (unsure, groups, fencing) = (self.is_unsure(), groups.collect(), self.fencing_word());
        Word {
            active,
            ready,
            settled,
            maintenance,
            left,
            unsure,
            life,
            files,
            nodes,
            groups,
            fencing,
            ..Word::default()
        }
    }

    /// Our word has left in the status with this number. Tells whether it is another than before.
    pub fn told(&mut self, word: &Word, seq: u64) -> bool {
        for Share { unit, .. } in &mut self.shares {
            if unit.state == State::Claiming && unit.claim_told.is_none() {
                unit.claim_told = Some(seq);
            }
        }
        let word = substance(word);
        let changed = self.told.as_ref() != Some(&word);
        self.told = Some(word);
        changed
    }

    /// Whether nobody waits to hear the status with this number, or it is known to have arrived everywhere.
    pub fn is_known(&self, seq: u64) -> bool {
        self.members.iter().filter_map(Member::word).all(|word| self.has_heard(word, seq))
    }

    fn has_heard(&self, word: &Word, seq: u64) -> bool {
        word.heard.is_some_and(|(life, heard)| life == self.life && heard >= seq)
    }

    /// Whether what we hear of this node is worth telling.
    pub fn counts(&self, at: usize) -> bool {
        self.members.get(at).is_some_and(|member| !matches!(member.view, View::Unfenced | View::Gone(_)))
    }

    pub fn is_here(&self) -> bool {
        self.shares.iter().any(|share| share.unit.is_here())
    }

    /// Whether anything is here or about to be: after a pause that is no longer true.
    pub fn is_engaged(&self) -> bool {
        self.shares.iter().any(|share| share.unit.state != State::Free)
    }

    pub fn leases(&self) -> impl Iterator<Item = GroupId> {
        let keep = |unit: &Unit| matches!(unit.state, State::Acquiring | State::Held | State::Offering);
        self.shares.iter().enumerate().filter(move |(_, share)| keep(&share.unit)).map(|(at, _)| GroupId(at))
    }

    pub fn state(&self, group: GroupId) -> Option<State> {
        self.shares.get(group.0).map(|share| share.unit.state)
    }

    pub fn failed(&self, group: GroupId) -> bool {
        self.shares.get(group.0).is_some_and(|share| share.unit.failed)
    }

    /// Which of the others has the group, as far as known.
    pub fn holder(&self, group: GroupId) -> Option<&str> {
        let holds = |member: &&Member| {
            let said = member.word().and_then(|word| self.said(word, group));
            said.is_some_and(|said| matches!(said.state, State::Held | State::Offering))
        };
        self.members.iter().find(holds).map(|member| member.name.as_str())
    }

    /// What a node says of a group; `None` where its haresources does not have it.
    fn said<'a>(&self, word: &'a Word, group: GroupId) -> Option<&'a Said> {
        let tag = self.plan.tags().get(group.0)?;
        word.groups.iter().find(|said| said.tag == *tag)
    }

    /// Whether nothing is being moved.
    pub fn is_stable(&self) -> bool {
        let quiet = |share: &Share| matches!(share.unit.state, State::Free | State::Held | State::Stuck);
        let known = self.members.iter().all(|member| member.view != View::Unfenced);
        self.active && known && self.switch.is_none() && self.shares.iter().all(quiet)
    }

    /// Our communication is up: from now on we take part.
    pub fn communication_up(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        self.active = true;
        if self.is_fencing() && !self.met {
            fx.push(Effect::Note(Notice::MetNobody));
        }
        for at in 0..self.members.len() {
            self.note_death(at, fx);
        }
        self.settle(now, fx);
    }

    /// Starting a group has ended.
    pub fn acquired(&mut self, now: Instant, group: GroupId, ok: bool, fx: &mut Vec<Effect>) {
        let key = self.key(group);
        let letting_go = self.letting_go;
        let Some(Share { unit, .. }) = self.shares.get_mut(group.0) else { return };
        if unit.state != State::Acquiring {
            return;
        }
        unit.want_until = None;
        if ok {
            unit.state = State::Held;
            unit.failed = false;
            unit.away = false;
            fx.push(Effect::Announce(group));
            fx.push(Effect::Note(Notice::Started { group: key }));
            if letting_go {
                self.release(group, Why::Restart, fx);
            }
        } else {
            unit.state = State::Free;
            unit.failed = true;
            unit.retry_at = Some(now + RETRY_AFTER);
            fx.push(Effect::Note(Notice::StartFailed { group: key }));
        }
        self.settle(now, fx);
    }

    /// Stopping a group has ended. Whatever became of its scripts, its addresses are off.
    pub fn released(&mut self, now: Instant, group: GroupId, ok: bool, fx: &mut Vec<Effect>) {
        let key = self.key(group);
        let Some(Share { unit, .. }) = self.shares.get_mut(group.0) else { return };
        let Some(was_stuck) = unit.stopped() else { return };
        fx.push(Effect::Note(end_of_stop(key, ok, was_stuck)));
        self.settle(now, fx);
    }

    /// Something of a group that we hold does not run any more: another node is to have it, or it is started anew. Not in
    /// maintenance, when an administrator may have stopped it, and not while it could not be taken again; it is told once and
    /// comes again.
    pub fn fails(&mut self, now: Instant, group: GroupId, resource: String, fx: &mut Vec<Effect>) {
        let another_could = self.target(group, None).is_some();
        let (key, waits) = (self.key(group), self.maintenance || self.is_unsure());
        let Some(Share { unit, .. }) = self.shares.get_mut(group.0) else { return };
        if unit.state != State::Held {
            return;
        }
        if !std::mem::replace(&mut unit.broken, true) {
            fx.push(Effect::Note(Notice::Failed { group: key, resource }));
        }
        if waits {
            return;
        }
        unit.fails(now, another_could);
        self.release(group, Why::Failed, fx);
        self.settle(now, fx);
    }

    /// Whether this node could serve at once.
    pub fn set_ready(&mut self, now: Instant, ready: bool, fx: &mut Vec<Effect>) {
        if std::mem::replace(&mut self.ready, ready) != ready {
            fx.push(Effect::Note(if ready { Notice::Ready } else { Notice::NotReady }));
            self.settle(now, fx);
        }
    }

    /// Switches maintenance on or off. Switched off, what was left undone is done at once.
    pub fn set_maintenance(&mut self, now: Instant, on: bool, fx: &mut Vec<Effect>) {
        if std::mem::replace(&mut self.maintenance, on) != on {
            fx.push(Effect::Note(Notice::Maintenance { on }));
            if on {
                self.interrupt_all_fencing(now, fx);
            }
            self.settle(now, fx);
        }
    }

    pub fn is_maintained(&self) -> bool {
        self.maintenance
    }

    /// Whether nobody can reach the group here, and whether for so long that another node should rather have it.
    pub fn set_cut_off(&mut self, now: Instant, group: GroupId, cut_off: bool, dead: bool, fx: &mut Vec<Effect>) {
        let Some(unit) = self.shares.get_mut(group.0).map(|share| &mut share.unit) else { return };
        let (turned, changed) = unit.set_cut_off(cut_off, dead);
        if turned && self.is_cut_off() {
            self.interrupt_all_fencing(now, fx);
        }
        if changed {
            self.settle(now, fx);
        }
    }

    /// Whether nobody can reach any group here: who is silent may be serving them, and is not to be switched off by us.
    pub(super) fn is_cut_off(&self) -> bool {
        self.plan.each_addressed(|id| self.shares.get(id.0).is_some_and(|share| share.unit.cut_off))
    }

    /// Our files have been read again.
    pub fn set_files(&mut self, now: Instant, files: Files, fx: &mut Vec<Effect>) {
        self.files = files;
        self.settle(now, fx);
    }

    /// Orderly stop: give what can be given, release the rest, then [`Effect::Left`].
    pub fn leave(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        if std::mem::replace(&mut self.leaving, true) {
            return;
        }
        fx.push(Effect::Note(Notice::ShuttingDown));
        self.end_switch(Err(Refusal::Leaving), fx);
        self.end_all_fencing(fx);
        for share in &mut self.shares {
            share.unit.want_until = None;
        }
        self.settle(now, fx);
    }

    /// Lets go of everything at once, to come back as a new life.
    pub fn let_go(&mut self, fx: &mut Vec<Effect>) {
        self.letting_go = true;
        self.end_switch(Err(Refusal::Starting), fx);
        self.end_all_fencing(fx);
        for at in 0..self.shares.len() {
            match self.shares[at].unit.state {
                State::Held | State::Offering => self.release(GroupId(at), Why::Restart, fx),
                State::Claiming => self.shares[at].unit.state = State::Free,
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
        self.told = None;
        for member in &mut self.members {
            (member.view, member.fencing) = (View::Unknown, None);
        }
        for Share { unit, to, lost, .. } in &mut self.shares {
            (*to, *lost) = (None, None);
            unit.begin_life();
        }
    }

    /// What time brings.
    pub fn tick(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        if self.switch.as_ref().is_some_and(|switch| switch.until <= now) {
            self.end_switch(Err(Refusal::NoReply), fx);
        }
        self.tick_stuck(now, fx);
        self.settle(now, fx);
    }

    /// When [`tick`](Self::tick) next has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let units = self.shares.iter().flat_map(|Share { unit, .. }| unit.deadlines());
        units.chain(self.switch.as_ref().map(|switch| switch.until)).chain(self.fence_at).min()
    }

    fn key(&self, id: GroupId) -> String {
        self.plan.get(id).map(|group| group.key.clone()).unwrap_or_default()
    }
}
