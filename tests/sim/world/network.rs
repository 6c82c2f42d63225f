//! What becomes of a message under way, and what of one that arrives.

use std::rc::Rc;

use heartbeatd::core::{Echo, Heard, Plan, State};
use heartbeatd::wire::Body;

use super::{Flaw, Item, World};
use crate::profile::{NAMES, Time, Ways};

impl World {
    pub(super) fn deliver(&mut self, to: usize, heard: Rc<Heard>, said: Time, passed: bool) {
        if self.machines[to].node.is_none() || passed && self.has_got(to, &heard) {
            return;
        }
        let machine = &mut self.machines[to];
        if machine.paused {
            machine.waiting.push_back(Item::Deliver { to, heard, said, passed });
            return;
        }
        if self.profile.nodes() > 2 {
            machine.got.insert(name_of(&heard));
        }
        let is_status = matches!(heard.body, Body::Status { .. });
        let mark = Plan::mark(NAMES[to]);
        let echo = heard.word.as_ref().and_then(|word| word.answers(mark)).map(|(life, _)| life);
        let (from, ..) = name_of(&heard);
        let number = (heard.header.generation, heard.header.seq);
        self.check.heard(to, from, self.now, said, number, is_status, echo);
        self.hearing = Some((Rc::clone(&heard), said));
        match self.flaw {
            Flaw::ForgedEcho => {
                let mut heard = (*heard).clone();
                if let (Some(word), Some(node)) = (&mut heard.word, &self.machines[to].node) {
                    word.heard = Some((node.life(), node.highest_sent()));
                    word.echoes.retain(|echo| echo.node != mark);
                    if self.profile.nodes() > 2 {
                        word.echoes.push(Echo { node: mark, life: node.life(), seq: node.highest_sent() });
                    }
                }
                self.turn(to, |core, now| core.heard(now, 0, &heard));
            }
            Flaw::ForgedHolder if self.now + self.profile.keepalive > self.profile.end => {
                let mut heard = (*heard).clone();
                let groups = heard.word.iter_mut().flat_map(|word| &mut word.groups);
                groups.for_each(|said| said.state = State::Free);
                self.turn(to, |core, now| core.heard(now, 0, &heard));
            }
            Flaw::EachForItself => {
                let mut heard = (*heard).clone();
                if let Some(word) = &mut heard.word {
                    word.echoes.retain(|echo| echo.node == mark);
                }
                self.turn(to, |core, now| core.heard(now, 0, &heard));
            }
            _ => self.turn(to, |core, now| core.heard(now, 0, &heard)),
        }
    }

    /// Whether a node has got a message before: once more on another way changes nothing.
    fn has_got(&self, node: usize, heard: &Heard) -> bool {
        self.machines[node].got.contains(&name_of(heard))
    }

    pub(super) fn each_way(&mut self, ways: &Ways, change: impl Fn(&mut usize)) {
        for (cuts, ways) in self.cuts.iter_mut().zip(ways) {
            cuts.iter_mut().zip(ways).filter(|(_, cut)| **cut).for_each(|(cuts, _)| change(cuts));
        }
    }

    pub(super) fn transmit(&mut self, from: usize, heard: Rc<Heard>, said: Time, passed: bool) {
        let quiet = self.now >= self.profile.quiet_from;
        let numbered = heard.header.seq.is_some();
        let copies = 1 + usize::from(!quiet && self.chance.percent(self.profile.doubled));
        for _ in 0..copies {
            for to in self.others(from) {
                if passed && (NAMES[to] == heard.header.src || self.has_got(to, &heard)) {
                    continue;
                }
                let lost = self.cuts[from][to] > 0 || (!quiet && self.chance.percent(self.profile.loss));
                if lost {
                    if numbered {
                        self.check.lost();
                    }
                    continue;
                }
                let at = self.now + self.chance.between(self.profile.delay);
                self.push(at, Item::Deliver { to, heard: Rc::clone(&heard), said, passed });
            }
        }
    }
}

/// What makes a message another one.
fn name_of(heard: &Heard) -> (usize, u64, Option<u64>) {
    let from = NAMES.iter().position(|name| *name == heard.header.src).unwrap_or(NAMES.len());
    (from, heard.header.generation, heard.header.seq)
}
