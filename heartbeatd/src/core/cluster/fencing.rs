//! A node is silent: is it off, before anything of it is taken?
//!
//! Where ha.cf has fencing devices, a node that falls silent without having left has to be switched off first, whatever it
//! had; until somebody says that it is off it counts as one that has not been heard yet, and nobody takes what nobody
//! seems to have.
//!
//! - **One does it.** Those that hear each other say in every status for whom they wait and how many of their attempts have
//!   failed. It is the turn of the one with the fewest, of equal ones the first in ha.cf; so the next one tries when that one
//!   dies or its device fails. What one knows to be off is off for all; a life is named, so that no later one is meant.
//! - **Nobody is shot who is heard**: an attempt neither begins nor goes on while a node that we hear hears the silent one.
//! - **The smaller part waits.** Of two parts that do not hear each other the larger one shoots at once. The smaller one does
//!   so later, by which time it is off itself if the larger one lives; if that is dead, the last node alive goes on. Of
//!   equal parts the one with the first node of ha.cf shoots at once.
//! - **One that nobody can reach shoots nobody**: while all its groups are cut off, the others are the ones that serve.
//! - **One that has heard nobody since it started shoots nobody**: it may be the one that was switched off, and is still
//!   cut off.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

use super::{Cluster, Member, View};
use crate::core::notice::Notice;
use crate::core::takeover::{Awaited, Effect, FencingWord, Gone, Refusal, Silent, Ticket, Why, Word};
use crate::wire::Body;

/// Between two attempts of the same node.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What the devices of the larger part are given, beyond its dead time.
const DEVICES_TAKE: Duration = Duration::from_secs(10);

/// How it is known that a node is off.
enum By {
    Device,
    Hand,
    /// The node at this place says so.
    Other(usize),
}

/// A node that has to be off before anything is taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fencing {
    since: Instant,
    /// Attempts of ours that have failed.
    failed: u32,
    /// The one under way.
    attempt: Option<u64>,
    /// No further one before.
    again_at: Instant,
    /// It was told that an attempt begins.
    told: bool,
}

impl Member {
    fn awaits(&self) -> Option<Awaited> {
        self.fencing.map(|fencing| Awaited { failed: fencing.failed, busy: fencing.attempt.is_some() })
    }
}

impl Cluster {
    /// Attempts to switch this node off, where it has to be off first.
    pub fn unfenced(&self, at: usize) -> Option<u32> {
        let member = self.members.get(at).filter(|member| member.view == View::Unfenced)?;
        Some(member.awaits().map_or(0, |awaited| awaited.failed.saturating_add(awaited.busy.into())))
    }

    /// What our status says of those that we do not hear.
    pub(super) fn fencing_word(&self) -> FencingWord {
        if !self.is_fencing() {
            return FencingWord::default();
        }
        // One that leaves waits for nobody: what it counts as gone need not be off.
        if self.leaving || self.letting_go {
            return FencingWord { devices: self.fences, silent: Vec::new() };
        }
        let silent = self.members.iter().filter_map(|member| {
            let awaited = match member.view {
                View::Gone(_) => None,
                // Others are not to wait for one that switches nobody off.
                View::Unfenced if self.is_cut_off() => return None,
                View::Unfenced => Some(member.awaits()?),
                View::Unknown | View::Old | View::Says(_) => return None,
            };
            Some(Silent { node: member.mark, life: member.life.unwrap_or_default(), awaited })
        });
        FencingWord { devices: self.fences, silent: silent.collect() }
    }

    /// Whether a silent node has to be off first: we have devices, or somebody we hear has.
    pub(super) fn is_fencing(&self) -> bool {
        self.fences || self.members.iter().filter_map(Member::word).any(|word| word.fencing.devices)
    }

    pub(super) fn begin_fencing(&mut self, now: Instant, at: usize, fx: &mut Vec<Effect>) {
        let Some(member) = self.members.get_mut(at) else { return };
        member.said_off = false;
        member.fencing = Some(Fencing { since: now, failed: 0, attempt: None, again_at: now, told: false });
        let before = std::mem::replace(&mut member.view, View::Unfenced);
        if let View::Says(word) = before {
            self.note_lost(&word, Why::PeerDead);
        }
        if self.maintenance {
            fx.push(Effect::Note(Notice::NothingTaken { node: self.members[at].name.clone() }));
        }
    }

    /// Nobody waits for the end of this node any more.
    pub(super) fn end_fencing(&mut self, at: usize, fx: &mut Vec<Effect>) {
        let Some(member) = self.members.get_mut(at) else { return };
        if member.fencing.take().is_some_and(|fencing| fencing.attempt.is_some()) {
            fx.push(Effect::StopFencing { node: member.name.clone() });
        }
    }

    pub(super) fn end_all_fencing(&mut self, fx: &mut Vec<Effect>) {
        (0..self.members.len()).for_each(|at| self.end_fencing(at, fx));
    }

    pub(super) fn interrupt_all_fencing(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        (0..self.members.len()).for_each(|at| self.interrupt_fencing(now, at, fx));
    }

    /// The attempt under way is stopped; another one may begin at once.
    pub(super) fn interrupt_fencing(&mut self, now: Instant, at: usize, fx: &mut Vec<Effect>) {
        let Some(member) = self.members.get_mut(at) else { return };
        if let Some(fencing) = &mut member.fencing
            && fencing.attempt.take().is_some()
        {
            fencing.again_at = now;
            fx.push(Effect::StopFencing { node: member.name.clone() });
        }
    }

    /// An attempt of the devices has ended. One of an earlier death says nothing of this one.
    pub fn fenced(&mut self, now: Instant, attempt: u64, ok: bool, fx: &mut Vec<Effect>) {
        let is_this = |member: &Member| member.fencing.is_some_and(|fencing| fencing.attempt == Some(attempt));
        let Some(at) = self.members.iter().position(is_this) else { return };
        if ok {
            self.is_off(at, &By::Device, fx);
        } else if let Some(member) = self.members.get_mut(at)
            && let Some(fencing) = &mut member.fencing
        {
            fencing.attempt = None;
            fencing.failed = fencing.failed.saturating_add(1);
            fencing.again_at = now + AGAIN_AFTER;
            fx.push(Effect::Say(Body::Stonith { node: member.name.clone(), result: "bad".into() }));
            fx.push(Effect::Note(Notice::FenceFailed { node: member.name.clone() }));
        }
        self.settle(now, fx);
    }

    /// An administrator says that a node is off.
    pub fn confirm_dead(&mut self, now: Instant, node: &str, ticket: Ticket, fx: &mut Vec<Effect>) {
        let waits = |member: &Member| member.name == node && member.view == View::Unfenced;
        let Some(at) = self.members.iter().position(waits).filter(|at| self.heard_life(*at).is_none()) else {
            return fx.push(Effect::Answer(ticket, Err(Refusal::NotUnfenced)));
        };
        self.is_off(at, &By::Hand, fx);
        fx.push(Effect::Answer(ticket, Ok(())));
        self.settle(now, fx);
    }

    fn is_off(&mut self, at: usize, by: &By, fx: &mut Vec<Effect>) {
        if matches!(by, By::Device) {
            self.members[at].fencing = None;
        } else {
            self.end_fencing(at, fx);
        }
        let node = self.members[at].name.clone();
        self.members[at].said_off = matches!(by, By::Device);
        if !matches!(by, By::Other(_)) {
            fx.push(Effect::Say(Body::Stonith { node: node.clone(), result: "OK".into() }));
        }
        fx.push(Effect::Note(match by {
            By::Device => Notice::Fenced { node },
            By::Hand => Notice::ConfirmedDead { node },
            By::Other(other) => Notice::KnownOff { node, by: self.members[*other].name.clone() },
        }));
        self.members[at].view = View::Gone(Gone::Dead);
        if self.active {
            self.note_death(at, fx);
        }
    }

    /// The life in which somebody that we hear hears this node, which we do not.
    fn heard_life(&self, at: usize) -> Option<u64> {
        let mark = self.members.get(at)?.mark;
        let echoes = self.members.iter().filter_map(Member::word).flat_map(|word| &word.echoes);
        echoes.filter(|echo| echo.node == mark).map(|echo| echo.life).next()
    }

    /// Goes through the silent nodes: learns what others know, and begins and stops attempts.
    pub(super) fn settle_fencing(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        self.fence_at = None;
        if self.letting_go || self.left {
            return;
        }
        let is_fencing = self.is_fencing();
        for at in 0..self.members.len() {
            match self.members[at].view {
                View::Unfenced if !is_fencing => {
                    // The last one that could have done it is gone as well.
                    self.end_fencing(at, fx);
                    self.members[at].view = View::Gone(Gone::Dead);
                    if self.active {
                        self.note_death(at, fx);
                    }
                }
                View::Unfenced => self.settle_unfenced(now, at, fx),
                // It lives again, or has never been off: when nobody hears it any more, that has to be seen to anew.
                View::Gone(gone) if is_fencing => {
                    let known = self.members[at].life;
                    let again = |life: &u64| gone != Gone::Left || known != Some(*life);
                    if let Some(life) = self.heard_life(at).filter(again) {
                        self.members[at].life = Some(life);
                        self.begin_fencing(now, at, fx);
                    }
                }
                View::Gone(_) | View::Unknown | View::Old | View::Says(_) => {}
            }
        }
    }

    fn settle_unfenced(&mut self, now: Instant, at: usize, fx: &mut Vec<Effect>) {
        if let Some(life) = self.heard_life(at) {
            self.members[at].life = Some(life);
            self.members[at].began = false;
            return self.interrupt_fencing(now, at, fx);
        }
        if let Some(other) = self.known_off_by(at) {
            return self.is_off(at, &By::Other(other), fx);
        }
        let due = self.due(at);
        let Some(Member { fencing: Some(fencing), name, .. }) = self.members.get_mut(at) else { return };
        match due {
            Some(due) if fencing.attempt.is_none() && due <= now => {
                if !std::mem::replace(&mut fencing.told, true) {
                    fx.push(Effect::Note(Notice::Fencing { node: name.clone() }));
                }
                // Never the same twice: what ends late is nobody's answer.
                self.attempts = self.attempts.wrapping_add(1);
                fencing.attempt = Some(self.attempts);
                fx.push(Effect::Fence { node: name.clone(), attempt: self.attempts });
            }
            Some(due) if fencing.attempt.is_none() => {
                self.fence_at = Some(self.fence_at.map_or(due, |earlier| earlier.min(due)));
            }
            Some(_) | None => {}
        }
    }

    /// Who says that this life of a node is over for good.
    fn known_off_by(&self, at: usize) -> Option<usize> {
        let member = self.members.get(at)?;
        let says_so = |word: &Word| {
            let silent = word.fencing.of(member.mark).filter(|silent| silent.awaited.is_none());
            let same_life = |silent: &Silent| member.life.is_none_or(|life| life == silent.life);
            silent.is_some_and(same_life) && word.active && !word.is_of_others(self.nodes)
        };
        if member.began {
            return None;
        }
        self.members.iter().position(|other| other.word().is_some_and(says_so))
    }

    /// When we are to switch a silent node off; `None` while it is another's turn.
    fn due(&self, at: usize) -> Option<Instant> {
        let member = self.members.get(at)?;
        let fencing = member.fencing?;
        if !(self.fences && self.active && self.met) || self.maintenance || self.leaving || self.is_cut_off() {
            return None;
        }
        let turn = |awaited: Awaited, place: usize| (awaited.failed, !awaited.busy, place);
        let ours = turn(member.awaits()?, self.place);
        let mut rivals = self.members.iter().filter_map(|other| {
            let takes_part = |word: &&Word| word.active && !word.maintenance && word.fencing.devices;
            let word = other.word().filter(takes_part)?;
            Some(turn(word.fencing.of(member.mark)?.awaited?, other.place))
        });
        rivals.all(|theirs| ours < theirs).then(|| fencing.again_at.max(fencing.since + self.delay()))
    }

    /// How long our part lets another one shoot first.
    fn delay(&self) -> Duration {
        let places = |which: fn(&View) -> bool| {
            let members = self.members.iter().filter(move |member| which(&member.view));
            members.map(|member| member.place)
        };
        let ours = || places(|view| matches!(view, View::Says(_))).chain([self.place]);
        let silent = || places(|view| matches!(view, View::Unfenced));
        let first = ours().min().unwrap_or(self.place);
        let later = silent().filter(|place| *place < first).count();
        let patience = self.deadtime + DEVICES_TAKE;
        match ours().count().cmp(&silent().count()) {
            Ordering::Greater => Duration::ZERO,
            Ordering::Equal if later == 0 => Duration::ZERO,
            Ordering::Equal => patience,
            // Each of several small parts at another time.
            Ordering::Less => patience * (1 + later as u32),
        }
    }
}
