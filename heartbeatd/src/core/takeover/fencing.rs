//! The other node is silent: is it off, before anything of it is taken (spec/heartbeat.md 6.7, 7.4)?
//!
//! Where ha.cf has a fencing device, a node that died with something in its hands has to be switched off first, and until
//! somebody says that it is, it counts as one that has not been heard yet: nothing of it is taken. The device is tried
//! again and again. An administrator who has looked may say it instead. Without a device its things are taken at once.

use std::time::{Duration, Instant};

use super::{Effect, Gone, Peer, Refusal, State, Takeover, Ticket, Word};
use crate::core::notice::Notice;
use crate::wire::Body;

/// Between two attempts.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// How it is known that a node is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// A device says so.
    Device,
    /// An administrator says so.
    Hand,
}

/// A node that has to be off before its groups are taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fencing {
    /// It was a heartbeat 3.0.6.
    was_old: bool,
    /// Attempts so far, the one under way too.
    tries: u32,
    /// Number of the last one.
    attempt: u64,
    /// `None`: an attempt is under way.
    again_at: Option<Instant>,
}

fn has_something(word: &Word) -> bool {
    word.groups.iter().any(|said| said.state != State::Free)
}

impl Takeover {
    /// The other node waits to be switched off, or for somebody to say that it is; attempts so far.
    pub fn unfenced(&self) -> Option<u32> {
        self.fencing.map(|fencing| fencing.tries)
    }

    /// Whether a node that fell silent in that state may still have something in its hands, or may be about to take
    /// something. One that said last that it has nothing does not need to be switched off if it knows that we have
    /// something: it would have to switch us off first. One that was never heard does.
    pub(super) fn must_be_fenced(&self, before: &Peer) -> bool {
        let may_serve = match before {
            Peer::Unknown | Peer::Unfenced => true,
            Peer::Old => self.expects_legacy() || self.classic.other_may_hold(),
            Peer::Ours(word) => has_something(word) || !self.is_known_to_have_something(word),
            Peer::Gone(_) => false,
        };
        self.fences && !self.leaving && may_serve
    }

    /// Our word has left in the status with this number.
    pub(super) fn note_told(&mut self, word: &Word, seq: u64) {
        self.has_since = if has_something(word) { self.has_since.or(Some(seq)) } else { None };
    }

    fn is_known_to_have_something(&self, theirs: &Word) -> bool {
        let heard = theirs.heard.filter(|(life, _)| *life == self.life).map(|(_, seq)| seq);
        self.has_since.is_some_and(|since| heard >= Some(since))
    }

    pub(super) fn begin_fencing(&mut self, now: Instant, was_old: bool, fx: &mut Vec<Effect>) {
        if self.fencing.is_some() {
            return;
        }
        self.said_off = false;
        self.peer = Peer::Unfenced;
        self.fencing = Some(Fencing { was_old, tries: 0, attempt: self.attempts, again_at: Some(now) });
        if self.maintenance {
            fx.push(Effect::Note(Notice::NothingTaken { node: self.other.clone() }));
        }
        self.tick_fencing(now, fx);
    }

    /// Maintenance has begun, or our own cables are out: nothing is switched off before its end.
    pub(super) fn put_off_fencing(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        if let Some(fencing) = &mut self.fencing
            && fencing.again_at.replace(now).is_none()
        {
            fx.push(Effect::StopFencing { node: self.other.clone() });
        }
    }

    /// Never the same twice: what ends late is nobody's answer.
    fn next_attempt(&mut self) -> u64 {
        self.attempts = self.attempts.wrapping_add(1);
        self.attempts
    }

    /// Nobody waits for its end any more: it is heard again, lives a new life or has left, or we do. A device that went
    /// on would switch off a node that serves.
    pub(super) fn end_fencing(&mut self, fx: &mut Vec<Effect>) {
        if self.fencing.take().is_some_and(|fencing| fencing.again_at.is_none()) {
            fx.push(Effect::StopFencing { node: self.other.clone() });
        }
    }

    /// It is heard in the same life, after a device said that it was reset.
    pub(super) fn check_device(&mut self, fx: &mut Vec<Effect>) {
        if std::mem::take(&mut self.said_off) {
            fx.push(Effect::Note(Notice::FencedButAlive { node: self.other.clone() }));
        }
    }

    /// An attempt of the devices has ended. One of an earlier death says nothing of this one.
    pub fn fenced(&mut self, now: Instant, attempt: u64, ok: bool, fx: &mut Vec<Effect>) {
        let under_way = |fencing: &&mut Fencing| fencing.attempt == attempt && fencing.again_at.is_none();
        let Some(fencing) = self.fencing.as_mut().filter(under_way) else { return };
        if ok {
            return self.is_off(now, By::Device, fx);
        }
        fencing.again_at = Some(now + AGAIN_AFTER);
        let node = self.other.clone();
        fx.push(Effect::Say(Body::Stonith { node: node.clone(), result: "bad".into() }));
        fx.push(Effect::Note(Notice::FenceFailed { node }));
    }

    /// An administrator says that the node is off.
    pub fn confirm_dead(&mut self, now: Instant, node: &str, ticket: Ticket, fx: &mut Vec<Effect>) {
        if self.fencing.is_none() || node != self.other {
            return fx.push(Effect::Answer(ticket, Err(Refusal::NotUnfenced)));
        }
        self.is_off(now, By::Hand, fx);
        fx.push(Effect::Answer(ticket, Ok(())));
    }

    fn is_off(&mut self, now: Instant, by: By, fx: &mut Vec<Effect>) {
        let Some(fencing) = self.fencing.take() else { return };
        if by == By::Hand && fencing.again_at.is_none() {
            // Whoever said it may switch the node on again at any time.
            fx.push(Effect::StopFencing { node: self.other.clone() });
        }
        let node = self.other.clone();
        self.said_off = by == By::Device;
        fx.push(Effect::Say(Body::Stonith { node: node.clone(), result: "OK".into() }));
        fx.push(Effect::Note(match by {
            By::Device => Notice::Fenced { node },
            By::Hand => Notice::ConfirmedDead { node },
        }));
        self.peer = Peer::Gone(Gone::Dead);
        if self.active {
            self.lose_peer(now, fencing.was_old, fx);
        }
    }

    pub(super) fn tick_fencing(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        if self.fencing_deadline().is_none_or(|at| now < at) {
            return;
        }
        let attempt = self.next_attempt();
        if let Some(fencing) = &mut self.fencing {
            if fencing.tries == 0 {
                fx.push(Effect::Note(Notice::Fencing { node: self.other.clone() }));
            }
            fencing.again_at = None;
            fencing.tries = fencing.tries.saturating_add(1);
            fencing.attempt = attempt;
            fx.push(Effect::Fence { node: self.other.clone(), attempt });
        }
    }

    pub(super) fn fencing_deadline(&self) -> Option<Instant> {
        self.fencing.filter(|_| !self.maintenance && !self.is_cut_off()).and_then(|fencing| fencing.again_at)
    }
}
