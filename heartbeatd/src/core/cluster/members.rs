//! The other nodes as the groups see them: what they say, that they begin, die, return or leave.

use std::time::Instant;

use super::{Cluster, Member, View, substance};
use crate::core::notice::Notice;
use crate::core::seldom::Matter;
use crate::core::takeover::{Effect, Gone, State, Why, Word};
use crate::wire::Body;

impl Cluster {
    /// A status of a node, the latest: with the word of a heartbeatd, or without.
    pub fn member_status(&mut self, now: Instant, at: usize, word: Option<Word>, fx: &mut Vec<Effect>) {
        let Some(member) = self.members.get(at) else { return };
        if member.view == View::Gone(Gone::Left) {
            return; // Its last words before it goes; only a new life counts.
        }
        self.end_fencing(at, fx);
        let Some(word) = word else {
            if self.members[at].view != View::Old {
                fx.push(Effect::Note(Notice::OldAmongMany { node: self.members[at].name.clone() }));
                self.members[at].view = View::Old;
                self.settle(now, fx);
            }
            return;
        };
        if word.left {
            self.members[at].life = Some(word.life);
            return self.member_left(now, at, fx);
        }
        self.check_plan(now, at, &word, fx);
        let changed = member_word_changed(&self.members[at].view, &word);
        for (share, tag) in self.shares.iter_mut().zip(self.plan.tags()) {
            if let Some(said) = word.groups.iter().find(|said| said.tag == *tag) {
                share.unit.seen = share.unit.seen.max(said.term);
            }
        }
        let before = self.differing_files(at);
        self.note_stuck(at, &word, fx);
        let member = &mut self.members[at];
        (member.life, member.began) = (Some(word.life), false);
        member.view = View::Says(word);
        self.met = true;
        let files = self.differing_files(at);
        if !files.is_empty() && files != before {
            fx.push(Effect::Note(Notice::FilesDiffer { node: self.members[at].name.clone(), files }));
        }
        self.settle(now, fx);
        // It may be waiting for our answer.
        if changed && !fx.iter().any(|effect| matches!(effect, Effect::Tell)) {
            fx.push(Effect::Tell);
        }
    }

    /// A node lives a new life and has nothing of the old one. It is what a fenced node has.
    pub fn member_began(&mut self, at: usize, fx: &mut Vec<Effect>) {
        self.end_fencing(at, fx);
        if let Some(member) = self.members.get_mut(at) {
            member.view = View::Unknown;
            (member.began, member.said_off) = (true, false);
        }
        // It may take what its old life has let pass.
        self.shares.iter_mut().for_each(|share| share.unit.quiet_until = None);
    }

    /// A node that was given up is heard again in the same life.
    pub fn member_returned(&mut self, at: usize, fx: &mut Vec<Effect>) {
        self.end_fencing(at, fx);
        if let Some(member) = self.members.get_mut(at) {
            member.view = View::Unknown;
            if std::mem::take(&mut member.said_off) {
                fx.push(Effect::Note(Notice::FencedButAlive { node: member.name.clone() }));
            }
        }
    }

    /// A node has been silent for its dead time.
    pub fn member_died(&mut self, now: Instant, at: usize, fx: &mut Vec<Effect>) {
        let Some(member) = self.members.get(at) else { return };
        if member.view == View::Gone(Gone::Left) {
            fx.push(Effect::Note(Notice::GaveUp { node: member.name.clone() }));
            self.members[at].view = View::Gone(Gone::Dead);
            return;
        }
        if !self.is_fencing() || self.leaving {
            return self.lose(now, at, Gone::Dead, fx);
        }
        if member.view != View::Unfenced {
            self.begin_fencing(now, at, fx);
        }
        if self.active {
            self.settle(now, fx);
            self.tell(fx);
        }
    }

    /// Anything but a status that a node said.
    pub fn member_said(&mut self, now: Instant, at: usize, body: &Body, fx: &mut Vec<Effect>) {
        if matches!(body, Body::Shutdone) && self.members.get(at).is_some_and(|member| member.word().is_some()) {
            self.member_left(now, at, fx);
        }
    }

    /// A node has let go of everything and is leaving.
    fn member_left(&mut self, now: Instant, at: usize, fx: &mut Vec<Effect>) {
        fx.push(Effect::Note(Notice::PeerLeft { node: self.members[at].name.clone() }));
        self.lose(now, at, Gone::Left, fx);
    }

    fn lose(&mut self, now: Instant, at: usize, gone: Gone, fx: &mut Vec<Effect>) {
        let why = if gone == Gone::Left { Why::PeerLeft } else { Why::PeerDead };
        if let View::Says(word) = std::mem::replace(&mut self.members[at].view, View::Gone(gone)) {
            self.note_lost(&word, why);
        }
        if self.active {
            self.note_death(at, fx);
            self.settle(now, fx);
            self.tell(fx);
        }
    }

    /// What a node that is no more had.
    pub(super) fn note_lost(&mut self, word: &Word, why: Why) {
        for (share, tag) in self.shares.iter_mut().zip(self.plan.tags()) {
            let said = word.groups.iter().find(|said| said.tag == *tag);
            if said.is_some_and(|said| said.state != State::Free) {
                share.lost = Some(why);
                // It was sent away to a node that is no more.
                share.unit.away = false;
            }
        }
    }

    /// The others wait to be told that we do not hear a node any more either.
    fn tell(&self, fx: &mut Vec<Effect>) {
        if !fx.iter().any(|effect| matches!(effect, Effect::Tell)) {
            fx.push(Effect::Tell);
        }
    }

    pub(super) fn note_death(&mut self, at: usize, fx: &mut Vec<Effect>) {
        let Some(member) = self.members.get(at).filter(|member| matches!(member.view, View::Gone(_))) else { return };
        let (node, is_dead) = (member.name.clone(), member.view == View::Gone(Gone::Dead));
        if self.is_alone() {
            // What could not be started here nobody else can have now.
            self.shares.iter_mut().for_each(|share| share.unit.retry_at = None);
        }
        if self.maintenance {
            return fx.push(Effect::Note(Notice::NothingTaken { node }));
        }
        let is_fencing = self.is_fencing();
        if is_dead && !is_fencing && !std::mem::replace(&mut self.told_unfenced, true) {
            fx.push(Effect::Note(Notice::NotFenced { node: node.clone() }));
        }
        if !self.leaving {
            fx.push(Effect::Note(Notice::AcquiredFrom { node }));
        }
    }

    /// Whether a node says that it is in maintenance.
    pub fn is_member_maintained(&self, at: usize) -> bool {
        self.members.get(at).and_then(Member::word).is_some_and(|word| word.maintenance)
    }

    /// Names of files that say something else on that node.
    pub fn differing_files(&self, at: usize) -> Vec<&'static str> {
        let word = self.members.get(at).and_then(Member::word);
        word.map_or(Vec::new(), |word| self.files.differing(&word.files))
    }

    fn check_plan(&mut self, now: Instant, at: usize, word: &Word, fx: &mut Vec<Effect>) {
        let same = word.groups.len() == self.shares.len()
            && word.groups.iter().all(|said| self.plan.tags().contains(&said.tag));
        if !same && self.seldom.allows(Matter::PlanDiffers, now) {
            fx.push(Effect::Note(Notice::PlanDiffers { node: self.members[at].name.clone() }));
        }
    }
}

fn member_word_changed(before: &View, word: &Word) -> bool {
    match before {
        View::Says(before) => substance(before) != substance(word),
        View::Unknown | View::Old | View::Unfenced | View::Gone(_) => true,
    }
}
