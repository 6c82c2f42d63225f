//! What must hold of fencing and maintenance.
//!
//! 9. **With fencing, nothing of a silent node is taken** before a device or an administrator has said that it is off,
//!    whoever hears whom: a group that another has, or had when it went silent, is taken only when it is offered, when
//!    that one is heard in a new life, or when it was said to be off since it was last heard. Where devices do not lie
//!    there are so never two owners at all.
//! 10. **In maintenance nothing is done by itself**: no group is taken or given that nobody asked for, and nobody switched off.
//! 11. **Nobody is switched off who is heard**: a device whose order was given before the node was heard again has been stopped.
//!
//! And while a node waits for another to be off, or is in maintenance, rule 3 does not count it.

use heartbeatd::core::{GroupId, State, Why};

use super::{Check, MOST_GROUPS, Sight};
use crate::profile::{MOST_NODES, Profile, S, Time};

/// How long a request to take a group stands, and the way of the answer to it.
const TAKES: Time = 11 * S;
/// How long one to give does.
const GIVES: Time = 121 * S;

pub struct Fencing {
    on: bool,
    nodes: usize,
    /// When devices were last ordered to work, `[by][target]`.
    ordered: [[Option<Time>; MOST_NODES]; MOST_NODES],
    heard: [[Option<Time>; MOST_NODES]; MOST_NODES],
    /// It was said to be off since it was last heard, `[to][target]`.
    said_off: [[bool; MOST_NODES]; MOST_NODES],
    /// Who had each group last, and has not let go of it.
    last: [Option<usize>; MOST_GROUPS],
    /// In maintenance since.
    pub maintained: [Option<Time>; MOST_NODES],
    asked: [Option<Time>; MOST_NODES],
    /// When each was last not run, from and to.
    pub slept: [Option<(Time, Time)>; MOST_NODES],
    states: [[Option<State>; MOST_GROUPS]; MOST_NODES],
    /// When each was last hindered.
    pub hindered: [Time; MOST_NODES],
}

impl Fencing {
    pub fn new(profile: &Profile) -> Self {
        Self {
            on: profile.devices.is_some(),
            nodes: profile.nodes(),
            ordered: Default::default(),
            heard: Default::default(),
            said_off: Default::default(),
            last: [None; MOST_GROUPS],
            maintained: [None; MOST_NODES],
            asked: [None; MOST_NODES],
            slept: [None; MOST_NODES],
            states: Default::default(),
            hindered: [0; MOST_NODES],
        }
    }

    pub fn asked(&mut self, node: usize, now: Time) {
        self.asked[node] = Some(now);
    }

    pub fn slept(&mut self, node: usize, since: Time, now: Time) {
        self.slept[node] = Some((since, now));
    }

    pub fn starts(&mut self, node: usize) {
        self.said_off[node] = [false; MOST_NODES];
        // That was said of an earlier life.
        self.said_off.iter_mut().for_each(|said_off| said_off[node] = false);
        self.ordered[node] = [None; MOST_NODES];
        self.last.iter_mut().filter(|last| **last == Some(node)).for_each(|last| *last = None);
    }

    pub fn heard(&mut self, to: usize, from: usize, now: Time) {
        self.heard[to][from] = Some(now);
        self.said_off[to][from] = false;
    }

    pub fn observe(&mut self, now: Time, sight: &Sight) {
        let hindered = self.hindered.iter_mut().zip(sight.hindered).filter(|(_, hindered)| *hindered);
        hindered.for_each(|(last, _)| *last = now);
        if !self.on && self.maintained == [None; MOST_NODES] {
            return;
        }
        for node in 0..self.nodes {
            for group in 0..MOST_GROUPS {
                let state = sight.states[node][group];
                match state {
                    Some(State::Held) if self.states[node][group] != state => self.last[group] = Some(node),
                    Some(State::Free | State::Releasing) if self.last[group] == Some(node) => self.last[group] = None,
                    _ => {}
                }
                self.states[node][group] = state;
            }
        }
    }

    fn recently(at: Option<Time>, now: Time, within: Time) -> bool {
        at.is_some_and(|at| now - at <= within)
    }
}

impl Check {
    /// An order of a device.
    pub fn fences(&mut self, by: usize, target: usize, now: Time) {
        self.fencing.ordered[by][target] = Some(now);
        if self.fencing.maintained[by].is_some() {
            self.fails(format!("node{} is in maintenance and has node{} switched off", by + 1, target + 1));
        }
    }

    /// A device cuts the power of a node: rule 11.
    pub fn is_cut(&mut self, by: usize, target: usize) {
        if self.fencing.heard[by][target] > self.fencing.ordered[by][target] {
            self.fails(format!("node{} is switched off although node{} hears it", target + 1, by + 1));
        }
    }

    /// A node is told that another is off. With three or more it tells the others.
    pub fn said_off(&mut self, to: usize, target: usize) {
        for node in self.nodes() {
            let tells = node == to || self.sides.len() > 2;
            self.fencing.said_off[node][target] |= tells;
        }
    }

    pub fn maintained(&mut self, node: usize, on: bool, now: Time) {
        self.fencing.maintained[node] = on.then_some(now);
    }

    /// Rules 9 and 10, when a group is taken.
    pub(super) fn check_acquire(&mut self, node: usize, group: GroupId, why: Why, now: Time, sight: &Sight) {
        let recently = Fencing::recently;
        if self.fencing.maintained[node].is_some() && !recently(self.fencing.asked[node], now, TAKES) {
            self.fails(format!("node{} is in maintenance and takes group {} ({why:?})", node + 1, group.0));
        }
        if !self.fencing.on {
            return;
        }
        for other in self.others(node) {
            let theirs = sight.states[other][group.0];
            let offered = theirs == Some(State::Offering)
                || recently(self.groups[group.0].offered[other], now, self.profile.deadtime * 2);
            // One that wakes hears first what was said before: an offer of what may overlap, which it takes up until it
            // hears the next message.
            let slept = self.fencing.slept[node].filter(|(_, woke)| now - woke <= self.profile.deadtime);
            let late = slept.is_some_and(|(since, woke)| {
                recently(self.groups[group.0].offered[other], now, woke - since + self.profile.deadtime * 2)
            });
            let offered = offered || late;
            let had = self.fencing.last[group.0] == Some(other) && sight.states[other][group.0].is_none();
            let has = sight.owns[other][group.0] || theirs == Some(State::Acquiring);
            // Of three, one that starts is told what another knows.
            let known = |each: usize| each == node || (self.sides.len() > 2 && each != other && sight.runs[each]);
            let said_off = self.nodes().any(|each| known(each) && self.fencing.said_off[each][other]);
            if (has || had) && !offered && !said_off {
                self.fails(format!(
                    "node{} takes group {} ({why:?}) of node{}, of which nobody has said that it is off",
                    node + 1,
                    group.0,
                    other + 1
                ));
            }
        }
    }

    /// Rule 10, when one is let go or offered: what was begun before maintenance goes on.
    pub(super) fn check_release(&mut self, node: usize, group: GroupId, why: Why, now: Time) {
        let fencing = &self.fencing;
        let before = fencing.states[node][group.0];
        let asked = self.nodes().any(|each| Fencing::recently(fencing.asked[each], now, GIVES));
        let by_itself = match why {
            Why::Failback => before == Some(State::Held),
            Why::Standby | Why::Takeover => !asked,
            _ => false,
        };
        if by_itself && fencing.maintained[node].is_some() {
            self.fails(format!("node{} is in maintenance and gives group {} ({why:?})", node + 1, group.0));
        }
    }
}
