//! Our node beside the model of an old one ([`crate::old`]), on a slow network.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use heartbeatd::core::{Action, Event, GroupId, Heard, Identity, Node, State, Ticket, Which};
use heartbeatd::wire::Uuid;

use crate::chance::Chance;
use crate::old::Old;
use crate::profile::{MS, Profile, S, Time};

struct Mixed {
    now: Time,
    base: Instant,
    chance: Chance,
    ours: Option<Node>,
    old: Option<Old>,
    lives: u64,
    /// Under way to ours and to the old one, in order: it arrives when the time has come.
    to_ours: VecDeque<(Time, Heard)>,
    to_old: VecDeque<(Time, Heard)>,
    work: VecDeque<(Time, Event)>,
    answers: Vec<bool>,
    stopped: bool,
}

impl Mixed {
    fn new(seed: u64) -> Self {
        Self {
            now: 0,
            base: Instant::now(),
            chance: Chance::new(seed),
            ours: None,
            old: None,
            lives: 0,
            to_ours: VecDeque::new(),
            to_old: VecDeque::new(),
            work: VecDeque::new(),
            answers: Vec::new(),
            stopped: false,
        }
    }

    fn at(&self) -> Instant {
        self.base + Duration::from_micros(self.now)
    }

    fn start_ours(&mut self) {
        self.lives += 1;
        let me = Identity { name: "node1".into(), uuid: Uuid([1; 16]), generation: 100 * self.lives };
        let mut node = Node::new(Profile::calm().settings(0), me, self.at(), self.lives);
        let mut actions = node.handle(self.at(), Event::Listening(true));
        actions.extend(node.handle(self.at(), Event::Ready(true)));
        actions.extend(node.start(self.at()));
        self.ours = Some(node);
        self.stopped = false;
        self.carry_out(actions);
    }

    fn start_old(&mut self) {
        self.lives += 1;
        self.old = Some(Old::start(100 * self.lives, self.now));
    }

    fn ours(&mut self, event: Event) {
        let now = self.at();
        if let Some(actions) = self.ours.as_mut().map(|node| node.handle(now, event)) {
            self.carry_out(actions);
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        let arrives = self.now + self.chance.between((100, 20 * MS));
        for action in actions {
            match action {
                Action::Send(message) if self.old.is_some() => {
                    // Messages of one node stay in order, as on one wire.
                    let arrives = self.to_old.back().map_or(arrives, |(last, _)| arrives.max(*last));
                    self.to_old.push_back((arrives, message.heard()));
                }
                Action::Acquire { group, .. } => self.work.push_back((arrives, Event::Acquired { group, ok: true })),
                Action::Release { group, .. } => self.work.push_back((arrives, Event::Released { group, ok: true })),
                Action::Answer { result, .. } => self.answers.push(result.is_ok()),
                Action::Stopped => self.stopped = true,
                _ => {}
            }
        }
        if self.stopped {
            self.ours = None;
        }
    }

    fn run(&mut self, time: Time) {
        let end = self.now + time;
        while self.now < end {
            self.now += 5 * MS;
            let (now, at) = (self.now, self.at());
            while let Some(heard) = due(&mut self.to_ours, now) {
                if let Some(actions) = self.ours.as_mut().map(|node| node.heard(at, 0, &heard)) {
                    self.carry_out(actions);
                }
            }
            while let Some(heard) = due(&mut self.to_old, now) {
                if let Some(old) = &mut self.old {
                    old.heard(&heard, now);
                }
            }
            while let Some(event) = due(&mut self.work, now) {
                self.ours(event);
            }
            if self.ours.as_ref().is_some_and(|node| node.deadline() <= at) {
                let actions = self.ours.as_mut().map(|node| node.tick(at)).unwrap_or_default();
                self.carry_out(actions);
            }
            if let Some(old) = &mut self.old {
                old.tick(now);
                for heard in old.said.drain(..) {
                    self.to_ours.push_back((now + self.chance.between((100, 20 * MS)), heard));
                }
            }
        }
    }

    /// Who has group 0 (at home on ours) and group 1: `o`urs, the o`l`d one, both or neither.
    fn owners(&self) -> [&'static str; 2] {
        [(0, 2), (1, 1)].map(|(group, bit)| {
            let state = self.ours.as_ref().and_then(|node| node.state(GroupId(group)));
            match (state == Some(State::Held), self.old.as_ref().is_some_and(|old| old.held & bit != 0)) {
                (true, false) => "ours",
                (false, true) => "old",
                (true, true) => "both",
                (false, false) => "nobody",
            }
        })
    }
}

/// What has arrived by now.
fn due<T>(queue: &mut VecDeque<(Time, T)>, now: Time) -> Option<T> {
    let ready = queue.front().is_some_and(|(arrives, _)| *arrives <= now);
    if ready { queue.pop_front().map(|(_, what)| what) } else { None }
}

const HOME: [&str; 2] = ["ours", "old"];

fn together(seed: u64) -> Mixed {
    let mut mixed = Mixed::new(seed);
    mixed.start_ours();
    mixed.start_old();
    mixed.run(13 * S);
    assert_eq!(mixed.owners(), HOME, "seed {seed}");
    mixed
}

#[test]
fn beside_an_old_node_every_switch_ends_with_one_owner() {
    for seed in 0..100 {
        let mut mixed = together(seed);
        mixed.ours(Event::Standby { which: Which::All, ticket: Ticket(1) });
        mixed.run(2 * S);
        assert_eq!(mixed.owners(), ["old", "old"], "seed {seed}");
        mixed.ours(Event::Takeover { which: Which::Local, ticket: Ticket(2) });
        mixed.run(2 * S);
        assert_eq!(mixed.owners(), HOME, "seed {seed}");
        mixed.ours(Event::Takeover { which: Which::All, ticket: Ticket(3) });
        mixed.run(2 * S);
        assert_eq!(mixed.owners(), ["ours", "ours"], "seed {seed}");
        mixed.ours(Event::Standby { which: Which::Foreign, ticket: Ticket(4) });
        mixed.run(2 * S);
        assert_eq!(mixed.owners(), HOME, "seed {seed}");
        assert_eq!(mixed.answers, [true; 4], "seed {seed}");
    }
}

#[test]
fn an_old_node_that_gives_or_stops_is_relieved_and_gets_its_own_back() {
    for seed in 0..100 {
        let mut mixed = together(seed);
        if let Some(old) = &mut mixed.old {
            old.give(1);
        }
        mixed.run(2 * S);
        assert_eq!(mixed.owners(), ["ours", "ours"], "seed {seed}");
        if let Some(old) = &mut mixed.old {
            old.stop(mixed.now);
        }
        mixed.run(S);
        mixed.old = None;
        mixed.run(3 * S);
        assert_eq!(mixed.owners(), ["ours", "ours"], "seed {seed}");
        mixed.start_old();
        mixed.run(4 * S);
        assert_eq!(mixed.owners(), HOME, "seed {seed}");
    }
}

#[test]
fn either_crashes_beside_an_old_node_and_comes_back() {
    for seed in 0..100 {
        let mut mixed = together(seed);
        mixed.old = None;
        mixed.run(2 * S);
        assert_eq!(mixed.owners(), ["ours", "ours"], "seed {seed}");
        mixed.start_old();
        mixed.run(4 * S);
        assert_eq!(mixed.owners(), HOME, "seed {seed}");
        mixed.ours = None;
        mixed.work.clear();
        mixed.run(2 * S);
        assert_eq!(mixed.owners(), ["old", "old"], "seed {seed}");
        mixed.start_ours();
        mixed.run(4 * S);
        assert_eq!(mixed.owners(), HOME, "seed {seed}");
        mixed.ours(Event::Stop);
        mixed.run(5 * S);
        assert!(mixed.stopped, "seed {seed}");
        assert_eq!(mixed.owners(), ["old", "old"], "seed {seed}");
    }
}
