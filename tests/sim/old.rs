//! A heartbeat 3.0.6 in nice mode, reduced to the decision table of spec 6.12: what it does with
//! messages, nothing of how. Its scripts take no time; it is node2 and our node is node1.

use heartbeatd::core::Heard;
use heartbeatd::wire::{Body, Header, Hold, NodeStatus, Phase, Uuid};
use std::time::Duration;

use crate::profile::{MS, S, Time};

const LOCAL: u8 = 1;
const FOREIGN: u8 = 2;
const DEADTIME: Time = S;

fn bits(hold: Hold) -> u8 {
    match hold {
        Hold::None => 0,
        Hold::Local => LOCAL,
        Hold::Foreign => FOREIGN,
        Hold::All => LOCAL | FOREIGN,
    }
}

fn hold(bits: u8) -> Hold {
    [Hold::None, Hold::Local, Hold::Foreign, Hold::All][usize::from(bits & 3)]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Init,
    Starting,
    Received,
    Stable,
    Shutdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standby {
    Not,
    Me(u8),
    Other,
    Done,
}

pub struct Old {
    generation: u64,
    seq: u64,
    pub held: u8,
    other_held: u8,
    other_stable: bool,
    needs_failback: bool,
    stage: Stage,
    standby: Standby,
    up: bool,
    peer_generation: u64,
    heard_at: Option<Time>,
    dead: bool,
    give_up_at: Time,
    settle_at: Option<Time>,
    next_status: Time,
    pub said: Vec<Heard>,
}

impl Old {
    pub fn start(generation: u64, now: Time) -> Self {
        let mut old = Self {
            generation,
            seq: 0,
            held: 0,
            other_held: 0,
            other_stable: false,
            needs_failback: false,
            stage: Stage::Init,
            standby: Standby::Not,
            up: false,
            peer_generation: 0,
            heard_at: None,
            dead: false,
            give_up_at: now + 3 * S,
            settle_at: None,
            next_status: now + 200 * MS,
            said: Vec::new(),
        };
        old.status(NodeStatus::Init);
        old.status(NodeStatus::Up);
        old
    }

    fn say(&mut self, body: Body) {
        self.seq += 1;
        let header = Header {
            src: "node2".into(),
            srcuuid: Some(Uuid([2; 16])),
            seq: Some(self.seq),
            generation: self.generation,
            ts: 1,
            dest: None,
            destuuid: None,
        };
        self.said.push(Heard { header, body, word: None, strong: false });
    }

    fn status(&mut self, status: NodeStatus) {
        self.say(Body::Status { status, deadtime: Some(Duration::from_micros(DEADTIME)), protocol: Some(1) });
    }

    fn tell(&mut self, stable: bool, info: Option<&str>, now: Time) {
        if self.stage == Stage::Starting {
            self.stage = Stage::Received;
            self.settle_at = Some(now + 10 * S);
        }
        let info = info.map(str::to_owned);
        self.say(Body::Resource { hold: hold(self.held), full: true, stable: Some(stable), info });
    }

    fn communication_up(&mut self, now: Time) {
        self.up = true;
        self.status(NodeStatus::Active);
        self.stage = Stage::Starting;
        self.say(Body::Starting);
        if self.dead {
            self.take_everything(now);
        }
    }

    fn take_everything(&mut self, now: Time) {
        self.held = LOCAL | FOREIGN;
        self.other_held = 0;
        self.other_stable = true;
        self.needs_failback = true;
        self.standby = Standby::Not;
        self.tell(true, Some("req_our_resources()"), now);
    }

    fn acquire_own(&mut self) {
        if self.other_held & FOREIGN == 0 {
            self.held |= LOCAL;
        }
    }

    fn failback(&mut self) {
        if self.needs_failback && self.held & FOREIGN != 0 && self.stage == Stage::Stable {
            self.needs_failback = false;
            self.give(FOREIGN);
        }
    }

    pub fn give(&mut self, set: u8) {
        if self.standby == Standby::Not && self.other_stable && self.stage == Stage::Stable {
            self.other_stable = false;
            self.standby = Standby::Me(set);
            self.say(Body::AskResources { hold: hold(set), phase: Phase::Me });
        }
    }

    pub fn stop(&mut self, now: Time) {
        self.stage = Stage::Shutdown;
        self.held = 0;
        self.tell(false, Some("shutdown"), now);
        self.say(Body::Shutdone);
    }

    pub fn heard(&mut self, heard: &Heard, now: Time) {
        let Heard { header, body, .. } = heard;
        if header.seq.is_none() || header.generation < self.peer_generation {
            return;
        }
        if header.generation > self.peer_generation {
            self.peer_generation = header.generation;
            self.dead = false;
            self.other_stable = false;
        }
        self.heard_at = Some(now);
        if self.dead {
            assert!(!matches!(body, Body::Status { .. }), "the original would restart itself now");
            return;
        }
        match body {
            Body::Status { .. } => {}
            Body::ReqNodes { .. } => self.say(Body::RepNodes {
                dest: "node1".into(),
                nodes: vec!["node1".into(), "node2".into()],
                deleted: vec![],
            }),
            Body::RepNodes { .. } if !self.up => self.communication_up(now),
            Body::Starting if self.stage != Stage::Init => {
                self.other_stable = false;
                self.tell(self.stage == Stage::Stable, None, now);
            }
            Body::Resource { hold, full, stable, .. } if self.stage != Stage::Init => {
                self.other_held = if *full { bits(*hold) } else { self.other_held | bits(*hold) };
                self.resource(*stable, now);
            }
            Body::AskResources { hold, phase } if self.stage != Stage::Shutdown => self.ask(*hold, *phase, now),
            Body::HbTakeover { hold } => self.give(bits(hold.mirrored())),
            Body::Shutdone if self.stage != Stage::Shutdown => self.take_everything(now),
            _ => {}
        }
    }

    fn resource(&mut self, stable: Option<bool>, now: Time) {
        if self.stage == Stage::Starting {
            self.stage = Stage::Received;
            self.settle_at = Some(now + 10 * S);
        }
        match stable {
            None => {}
            Some(false) => self.other_stable = false,
            Some(true) => {
                if !std::mem::replace(&mut self.other_stable, true) {
                    self.tell(self.stage == Stage::Stable, None, now);
                }
                if self.stage == Stage::Received {
                    self.acquire_own();
                    self.stage = Stage::Stable;
                    self.tell(true, None, now);
                }
                self.failback();
            }
        }
    }

    fn ask(&mut self, set: Hold, phase: Phase, now: Time) {
        match (phase, self.standby) {
            (Phase::Me, Standby::Not) if self.other_stable && self.stage == Stage::Stable => {
                self.other_stable = false;
                self.standby = Standby::Other;
                self.say(Body::AskResources { hold: set, phase: Phase::Other });
            }
            (Phase::Other, Standby::Me(set)) => {
                self.held &= !set;
                self.tell(false, Some("standby"), now);
                self.say(Body::AskResources { hold: hold(set), phase: Phase::Done });
                self.standby = Standby::Done;
            }
            (Phase::Done, Standby::Other) => {
                self.held |= bits(set.mirrored());
                self.tell(true, None, now);
                self.say(Body::AskResources { hold: set, phase: Phase::Done });
                self.standby = Standby::Not;
            }
            (Phase::Done, Standby::Done) => {
                self.standby = Standby::Not;
                self.tell(true, None, now);
            }
            (Phase::Me | Phase::Other | Phase::Done, _) => {}
        }
    }

    pub fn tick(&mut self, now: Time) {
        if now >= self.next_status {
            self.next_status = now + 200 * MS;
            self.status(if self.up { NodeStatus::Active } else { NodeStatus::Up });
            if !self.up && self.heard_at.is_some() && !self.dead {
                self.say(Body::ReqNodes { dest: "node1".into() });
            }
        }
        let silent = match self.heard_at {
            Some(at) => self.up && now > at + DEADTIME,
            None => now > self.give_up_at,
        };
        if silent && !self.dead {
            self.dead = true;
            if !self.up {
                self.communication_up(now);
            } else if self.stage != Stage::Shutdown {
                self.take_everything(now);
            }
        }
        if self.settle_at.is_some_and(|at| at <= now) {
            self.settle_at = None;
            if self.stage == Stage::Received {
                self.acquire_own();
                self.stage = Stage::Stable;
                self.tell(true, None, now);
            }
        }
    }
}
