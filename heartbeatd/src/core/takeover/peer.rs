//! The other node as the groups see it: what it says, that it begins, dies, returns or leaves.

use std::time::Instant;

use super::requests::SwitchKind;
use super::{Effect, Gone, Peer, Refusal, State, Takeover, Word};
use crate::core::notice::Notice;
use crate::core::seldom::Matter;
use crate::wire::Body;

/// So much may arrive ahead of the first status.
const MOST_UNREAD: usize = 8;

impl Takeover {
    /// Our communication is up: from now on we take part.
    pub fn communication_up(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        self.active = true;
        match self.peer {
            Peer::Old if self.is_legacy() => self.legacy_tick(now, fx),
            Peer::Old if self.leaving => self.classic_leave(now, fx),
            Peer::Old => self.classic_join(fx),
            Peer::Gone(_) => {
                if !self.expects_legacy() {
                    fx.push(Effect::Say(Body::Starting));
                }
                self.note_death(fx);
                self.classic_alone();
            }
            Peer::Unfenced => fx.push(Effect::Say(Body::Starting)),
            Peer::Ours(_) | Peer::Unknown => {}
        }
        self.settle(now, fx);
    }

    /// A status of the peer, the latest: with the word of a heartbeatd, or without.
    /// `established`: an old heartbeat that is active already.
    pub fn peer_status(&mut self, now: Instant, word: Option<Word>, established: bool, fx: &mut Vec<Effect>) {
        if matches!(self.peer, Peer::Gone(Gone::Left)) {
            return; // Its last words before it goes; only a new life counts.
        }
        let Some(word) = word else {
            self.meet_old(now, established, fx);
            self.settle(now, fx);
            return;
        };
        self.unread.clear();
        if self.peer == Peer::Old {
            self.classic_peer_began(fx);
        }
        self.check_plan(now, &word, fx);
        let without_echo = |word: &Word| Word { heard: None, ..word.clone() };
        let changed = match &self.peer {
            Peer::Ours(before) => without_echo(before) != without_echo(&word),
            Peer::Unknown | Peer::Old | Peer::Unfenced | Peer::Gone(_) => true,
        };
        for (unit, tag) in self.units.iter_mut().zip(self.plan.tags()) {
            if let Some(said) = word.groups.iter().find(|said| said.tag == *tag) {
                unit.seen = unit.seen.max(said.term);
            }
        }
        let before = self.differing_files();
        self.note_stuck(&word, fx);
        self.peer = Peer::Ours(word);
        let files = self.differing_files();
        if !files.is_empty() && files != before {
            fx.push(Effect::Note(Notice::FilesDiffer { node: self.other.clone(), files }));
        }
        self.settle(now, fx);
        // It may be waiting for our echo.
        if changed && !fx.iter().any(|effect| matches!(effect, Effect::Tell)) {
            fx.push(Effect::Tell);
        }
    }

    fn meet_old(&mut self, now: Instant, established: bool, fx: &mut Vec<Effect>) {
        if self.peer == Peer::Old {
            return;
        }
        self.peer = Peer::Old;
        self.drop_native_states();
        self.legacy.begin(established);
        if !self.is_legacy() {
            self.classic_meet(established, fx);
        }
        for body in std::mem::take(&mut self.unread) {
            self.classic_said(now, &body, fx);
        }
    }

    /// What only two heartbeatd know of, of which a new life knows nothing: claims, and offers that were let pass too.
    fn drop_native_states(&mut self) {
        for unit in &mut self.units {
            match unit.state {
                State::Claiming => unit.state = State::Free,
                State::Offering => unit.state = State::Held,
                State::Free | State::Acquiring | State::Held | State::Releasing | State::Stuck => {}
            }
            unit.give = None;
            (unit.offer_until, unit.quiet_until) = (None, None);
            unit.contested = false;
        }
    }

    /// The peer lives a new life and has nothing of the old one.
    pub fn peer_began(&mut self, fx: &mut Vec<Effect>) {
        if self.peer == Peer::Gone(Gone::Never) {
            return;
        }
        self.end_switch(Err(Refusal::PeerDead), fx);
        self.end_fencing(fx);
        // A new life is what a fenced node has.
        self.said_off = false;
        self.drop_native_states();
        self.legacy.begin(false);
        self.classic_peer_began(fx);
        self.unread.clear();
        self.peer = Peer::Unknown;
    }

    /// A dead peer is heard again under the same generation: a partition has healed, or it
    /// was stopped for a while. Between two heartbeatd the words decide. An old one will
    /// restart itself if it sees us in the old life too, and expects us without resources.
    pub fn peer_returned(&mut self, old: bool, fx: &mut Vec<Effect>) {
        self.end_fencing(fx);
        self.check_device(fx);
        self.peer = Peer::Unknown;
        if old {
            fx.push(Effect::ComeBack);
        }
    }

    pub fn peer_died(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        if self.must_be_fenced(&self.peer) {
            let was_old = self.peer == Peer::Old;
            if self.switch.as_ref().is_some_and(|switch| switch.kind == SwitchKind::Give) {
                self.end_switch(Err(Refusal::PeerDead), fx);
            }
            self.begin_fencing(now, was_old, fx);
            if self.active {
                self.settle(now, fx);
            }
            return;
        }
        if matches!(self.peer, Peer::Gone(Gone::Left)) {
            fx.push(Effect::Note(Notice::GaveUp { node: self.other.clone() }));
            self.peer = Peer::Gone(Gone::Dead);
            return;
        }
        let before = std::mem::replace(&mut self.peer, Peer::Gone(Gone::Dead));
        if !self.active {
            return; // Communication comes up with this; the rest is done there.
        }
        self.lose_peer(now, before == Peer::Old, fx);
    }

    /// `shutdone`: the peer has let go of everything and is leaving.
    fn peer_left(&mut self, now: Instant, fx: &mut Vec<Effect>) {
        self.end_fencing(fx);
        let before = std::mem::replace(&mut self.peer, Peer::Gone(Gone::Left));
        fx.push(Effect::Note(Notice::PeerLeft { node: self.other.clone() }));
        if self.active {
            self.lose_peer(now, before == Peer::Old, fx);
        }
    }

    pub(super) fn lose_peer(&mut self, now: Instant, was_old: bool, fx: &mut Vec<Effect>) {
        for unit in &mut self.units {
            unit.away = false;
            unit.give = None;
            // Nobody else can have it now.
            unit.retry_at = None;
        }
        if self.switch.as_ref().is_some_and(|switch| switch.kind == SwitchKind::Give) {
            fx.push(Effect::Note(Notice::StandbyCancelled));
            self.end_switch(Err(Refusal::PeerDead), fx);
        }
        if self.leaving {
            fx.push(Effect::Note(Notice::TakeoverCancelled));
        } else {
            self.note_death(fx);
        }
        self.classic_peer_gone(was_old, fx);
        self.settle(now, fx);
        self.classic_worked(now, fx);
    }

    fn note_death(&mut self, fx: &mut Vec<Effect>) {
        let node = self.other.clone();
        match self.peer {
            Peer::Gone(Gone::Dead | Gone::Left) if self.maintenance => {
                fx.push(Effect::Note(Notice::NothingTaken { node }));
            }
            Peer::Gone(Gone::Dead) => {
                if !self.fences && !std::mem::replace(&mut self.told_unfenced, true) {
                    fx.push(Effect::Note(Notice::NotFenced { node: node.clone() }));
                }
                fx.push(Effect::Note(Notice::AcquiredFrom { node }));
            }
            Peer::Gone(Gone::Left) => fx.push(Effect::Note(Notice::AcquiredFrom { node })),
            Peer::Gone(Gone::Never) | Peer::Unknown | Peer::Old | Peer::Unfenced | Peer::Ours(_) => {}
        }
    }

    /// Anything but a status that the peer said to us.
    pub fn peer_said(&mut self, now: Instant, body: &Body, fx: &mut Vec<Effect>) {
        match body {
            Body::Shutdone => {
                if !matches!(self.peer, Peer::Gone(_)) {
                    self.peer_left(now, fx);
                }
            }
            Body::Starting | Body::Resource { .. } | Body::AskResources { .. } | Body::HbTakeover { .. } => {
                match self.peer {
                    Peer::Ours(_) | Peer::Gone(_) => {}
                    Peer::Unknown if self.unread.len() < MOST_UNREAD => self.unread.push(body.clone()),
                    Peer::Unknown | Peer::Unfenced => {}
                    Peer::Old => {
                        self.classic_said(now, body, fx);
                        self.settle(now, fx);
                    }
                }
            }
            Body::IpRequest { .. } | Body::IpRequestResp { .. } if self.expects_legacy() => match self.peer {
                Peer::Old => {
                    self.legacy_said(now, body, fx);
                    self.settle(now, fx);
                }
                Peer::Unknown if self.unread.len() < MOST_UNREAD => self.unread.push(body.clone()),
                Peer::Unknown | Peer::Unfenced | Peer::Ours(_) | Peer::Gone(_) => {}
            },
            Body::IpRequest { .. } => {
                if self.seldom.allows(Matter::LegacyPeer, now) {
                    fx.push(Effect::Note(Notice::LegacyPeer { node: self.other.clone() }));
                }
            }
            Body::Status { .. }
            | Body::Ack { .. }
            | Body::Rexmit { .. }
            | Body::NakRexmit { .. }
            | Body::ReqNodes { .. }
            | Body::RepNodes { .. }
            | Body::IpRequestResp { .. }
            | Body::Stonith { .. }
            | Body::Client { .. }
            | Body::Unknown { .. } => {}
        }
    }

    /// Names of files that say something else on the other node.
    pub fn differing_files(&self) -> Vec<&'static str> {
        match &self.peer {
            Peer::Ours(word) => self.files.differing(&word.files),
            Peer::Unknown | Peer::Old | Peer::Unfenced | Peer::Gone(_) => Vec::new(),
        }
    }

    fn check_plan(&mut self, now: Instant, word: &Word, fx: &mut Vec<Effect>) {
        let same = word.groups.len() == self.units.len()
            && word.groups.iter().all(|said| self.plan.tags().contains(&said.tag));
        if !same && self.seldom.allows(Matter::PlanDiffers, now) {
            fx.push(Effect::Note(Notice::PlanDiffers { node: self.other.clone() }));
        }
    }
}
