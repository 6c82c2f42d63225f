//! Stories about who has what, between two heartbeatd: both run here, on a wire that loses
//! nothing and takes no time.

use std::collections::VecDeque;

use super::*;
use crate::core::takeover::{Said, Will};
use crate::core::{Refusal, Ticket, Which, Why};

pub(super) struct Pair {
    pub nodes: [Node; 2],
    now: Instant,
    pub cut: bool,
    started: [bool; 2],
    pub done: [Vec<Action>; 2],
    pub works: bool,
}

fn identity(node: usize, generation: u64) -> Identity {
    Identity { name: format!("node{}", node + 1), uuid: Uuid([node as u8 + 1; 16]), generation }
}

impl Pair {
    pub fn new(settings: Settings) -> Self {
        Self::differing([settings.clone(), settings])
    }

    /// Each with files of its own.
    pub fn differing(settings: [Settings; 2]) -> Self {
        let now = Instant::now();
        let node = |at: usize| Node::new(settings[at].clone(), identity(at, 100), now, at as u64);
        Self {
            nodes: [node(0), node(1)],
            now,
            cut: false,
            started: [false, false],
            done: [vec![], vec![]],
            works: true,
        }
    }

    /// Both started and ready.
    pub fn running(settings: Settings) -> Self {
        let mut pair = Self::new(settings);
        for node in 0..2 {
            pair.happens(node, Event::Ready(true));
            pair.start(node);
        }
        pair.wait(ms(500));
        pair.clear();
        pair
    }

    pub fn clear(&mut self) {
        self.done = [vec![], vec![]];
    }

    fn turn(&mut self, node: usize, call: impl FnOnce(&mut Node, Instant) -> Vec<Action>) {
        let actions = call(&mut self.nodes[node], self.now);
        let mut waiting = VecDeque::from([(node, actions)]);
        while let Some((node, actions)) = waiting.pop_front() {
            for action in actions {
                let event = match &action {
                    Action::Send(message) if !self.cut && self.started[1 - node] => {
                        waiting.push_back((1 - node, self.nodes[1 - node].heard(self.now, 0, &message.heard())));
                        None
                    }
                    Action::Acquire { group, .. } if self.works => Some(Event::Acquired { group: *group, ok: true }),
                    Action::Release { group, .. } if self.works => Some(Event::Released { group: *group, ok: true }),
                    _ => None,
                };
                self.done[node].push(action);
                if let Some(event) = event {
                    waiting.push_back((node, self.nodes[node].handle(self.now, event)));
                }
            }
        }
    }

    pub fn start(&mut self, node: usize) {
        self.started[node] = true;
        self.turn(node, begin);
    }

    /// It was killed, and begins its next life.
    pub fn restart(&mut self, node: usize, settings: Settings) {
        self.nodes[node] = Node::new(settings, identity(node, 101), self.now, 101);
        self.happens(node, Event::Ready(true));
        self.start(node);
    }

    pub fn happens(&mut self, node: usize, event: Event) {
        self.turn(node, |core, now| core.handle(now, event));
    }

    /// Neither is run for so long.
    pub fn sleep(&mut self, time: Duration) {
        self.now += time;
    }

    pub fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        for turn in 0.. {
            assert!(turn < 100_000, "the nodes keep each other busy");
            let started = (0..2).filter(|node| self.started[*node]);
            let next = started.map(|node| (self.nodes[node].deadline(), node)).min();
            let Some((next, node)) = next.filter(|(next, _)| *next <= end) else { break };
            self.now = self.now.max(next);
            self.turn(node, |core, now| core.tick(now));
        }
        self.now = end;
    }

    pub fn holds(&self) -> [[bool; 2]; 2] {
        [0, 1].map(|node: usize| [0, 1].map(|group| self.nodes[node].state(GroupId(group)) == Some(State::Held)))
    }

    pub fn has_done(&self, node: usize, action: &Action) -> bool {
        self.done[node].contains(action)
    }

    pub fn answer(&self, node: usize) -> Option<Result<(), Refusal>> {
        self.done[node].iter().find_map(|action| match action {
            Action::Answer { result, .. } => Some(result.clone()),
            _ => None,
        })
    }
}

const HOME: [[bool; 2]; 2] = [[true, false], [false, true]];

#[test]
fn two_that_start_together_have_their_own_at_once() {
    let mut pair = Pair::new(settings());
    pair.start(0);
    pair.wait(ms(100));
    pair.start(1);
    pair.wait(ms(20));
    assert_eq!(pair.holds(), HOME);
    assert!(pair.done[0].iter().any(|action| matches!(action, Action::Announce { group: GroupId(0) })));
    assert!(pair.has_done(0, &Action::Serve(true)));
}

#[test]
fn the_survivor_takes_everything_at_deadtime() {
    let mut pair = Pair::running(settings());
    pair.cut = true;
    pair.wait(ms(1_010));
    assert_eq!(pair.holds(), [[true, true], [true, true]]);
}

#[test]
fn after_a_partition_each_group_has_one_owner_at_once_and_then_its_home() {
    let mut pair = Pair::running(settings());
    pair.cut = true;
    pair.wait(ms(3_000));
    pair.clear();
    pair.cut = false;
    pair.wait(ms(210));
    assert_eq!(pair.holds(), HOME);
    for node in 0..2 {
        let released = |why| Action::Release { group: GroupId(node), why };
        assert!(pair.has_done(node, &released(Why::Conflict)), "the one that announced last keeps it");
        assert!(!pair.done[node].iter().any(|action| matches!(action, Action::SaveGeneration(_))), "nobody restarts");
    }
}

#[test]
fn without_auto_failback_a_healed_partition_leaves_groups_where_the_neighbours_send() {
    let mut pair = Pair::running(Settings { auto_failback: false, ..settings() });
    pair.cut = true;
    pair.wait(ms(3_000));
    pair.cut = false;
    pair.wait(ms(2_000));
    assert_eq!(pair.holds(), [[false, true], [true, false]]);
}

#[test]
fn the_giver_lets_go_when_the_taker_has_it_and_not_before() {
    let mut pair = Pair::running(settings());
    pair.works = false;
    pair.happens(0, Event::Standby { which: Which::All, ticket: Ticket(1) });
    let group = GroupId(0);
    assert!(pair.has_done(1, &Action::Acquire { group, why: Why::Standby }));
    assert!(!pair.has_done(0, &Action::Release { group, why: Why::Standby }));
    assert_eq!(pair.answer(0), None);
    pair.happens(1, Event::Acquired { group, ok: true });
    assert!(pair.has_done(0, &Action::Release { group, why: Why::Standby }));
    assert_eq!(pair.answer(0), Some(Ok(())));
    pair.clear();
    pair.happens(0, Event::Released { group, ok: true });
    pair.wait(ms(5_000));
    assert_eq!(pair.holds(), [[false, false], [true, true]], "and it does not come back by itself");
}

#[test]
fn a_group_with_a_file_system_is_let_go_before_it_is_taken() {
    let cold = settings().plan.iter().map(|(_, group)| Group { overlaps: false, ..group.clone() }).collect();
    let mut pair = Pair::running(Settings { plan: Plan::new(cold).unwrap(), ..settings() });
    pair.works = false;
    let group = GroupId(0);
    pair.happens(0, Event::Standby { which: Which::Local, ticket: Ticket(1) });
    assert!(pair.has_done(0, &Action::Release { group, why: Why::Standby }));
    pair.wait(ms(500));
    assert!(!pair.done[1].iter().any(|action| matches!(action, Action::Acquire { .. })));
    pair.happens(0, Event::Released { group, ok: true });
    assert!(pair.done[1].iter().any(|action| matches!(action, Action::Acquire { .. })));
    pair.happens(1, Event::Acquired { group, ok: true });
    assert_eq!(pair.answer(0), Some(Ok(())));
}

#[test]
fn a_taker_that_fails_leaves_the_group_where_it_is() {
    let mut pair = Pair::running(settings());
    pair.works = false;
    pair.happens(0, Event::Standby { which: Which::Local, ticket: Ticket(1) });
    pair.happens(1, Event::Acquired { group: GroupId(0), ok: false });
    assert_eq!(pair.holds(), HOME);
    assert_eq!(pair.answer(0), Some(Err(Refusal::Failed)));
}

#[test]
fn requests_that_cannot_be_met_are_refused_at_once() {
    let mut pair = Pair::running(settings());
    let ask = |pair: &mut Pair, event| {
        pair.clear();
        pair.happens(0, event);
        pair.answer(0)
    };
    let ticket = Ticket(1);
    let refused = |refusal| Some(Err(refusal));
    assert_eq!(ask(&mut pair, Event::Takeover { which: Which::Local, ticket }), refused(Refusal::AlreadyHeld));
    assert_eq!(ask(&mut pair, Event::Standby { which: Which::Foreign, ticket }), refused(Refusal::NothingHeld));
    pair.happens(1, Event::Ready(false));
    assert_eq!(ask(&mut pair, Event::Standby { which: Which::All, ticket }), refused(Refusal::PeerNotReady));
    pair.cut = true;
    pair.wait(ms(1_500));
    assert_eq!(ask(&mut pair, Event::Standby { which: Which::All, ticket }), refused(Refusal::PeerDead));
}

#[test]
fn a_takeover_is_asked_of_the_other_and_answered_when_done() {
    let mut pair = Pair::running(settings());
    pair.happens(1, Event::Takeover { which: Which::All, ticket: Ticket(1) });
    pair.wait(ms(10));
    assert_eq!(pair.answer(1), Some(Ok(())));
    pair.wait(ms(3_000));
    assert_eq!(pair.holds(), [[false, false], [true, true]]);
    pair.clear();
    pair.happens(0, Event::Takeover { which: Which::Local, ticket: Ticket(2) });
    pair.wait(ms(10));
    assert_eq!((pair.answer(0), pair.holds()), (Some(Ok(())), HOME));
}

#[test]
fn a_node_that_stops_hands_over_first() {
    let mut pair = Pair::running(settings());
    pair.works = false;
    let group = GroupId(0);
    pair.happens(0, Event::Stop);
    assert!(pair.has_done(1, &Action::Acquire { group, why: Why::Standby }));
    assert!(!pair.has_done(0, &Action::Release { group, why: Why::Stop }));
    pair.happens(1, Event::Acquired { group, ok: true });
    assert!(pair.has_done(0, &Action::Release { group, why: Why::Stop }));
    pair.happens(0, Event::Released { group, ok: true });
    pair.wait(ms(1_100));
    assert!(pair.has_done(0, &Action::Stopped));
    let notices: Vec<String> = pair.done[1]
        .iter()
        .filter_map(|action| match action {
            Action::Notice(notice) => Some(notice.to_string()),
            _ => None,
        })
        .collect();
    assert!(notices.contains(&"Received shutdown notice from 'node1'.".to_owned()), "{notices:?}");
}

#[test]
fn a_node_that_was_stopped_too_long_lets_go_before_it_speaks() {
    let mut bench = Bench::new("node1", settings());
    bench.happens(Event::Ready(true));
    bench.peer.beats = false;
    bench.start();
    bench.wait(ms(3_100));
    assert_eq!(bench.holds(), [true, true]);
    bench.done.clear();
    bench.works = false;
    bench.now += ms(1_001);
    let actions = bench.node.tick(bench.now);
    bench.take(actions);
    assert!(bench.node.leases().next().is_none());
    assert_eq!(bench.worst().map(|(level, _)| level), Some(Level::Crit));
    assert_eq!(bench.said_all(), [""; 0]);
    for group in 0..2 {
        bench.happens(Event::Released { group: GroupId(group), ok: true });
    }
    assert!(bench.done.contains(&Action::SaveGeneration(101)));
    assert_eq!(bench.said_all(), ["status init", "status up"]);
    bench.works = true;
    bench.wait(DEADTIME + KEEPALIVE);
    assert_eq!(bench.holds(), [true, true], "alone it serves again after deadtime");
}

#[test]
fn groups_of_differing_files_stay_where_they_can_be() {
    let mut bench = Bench::new("node1", settings());
    bench.happens(Event::Ready(true));
    bench.start();
    bench.peer.word = Some(Word { active: true, ready: true, ..Word::default() });
    bench.status(NodeStatus::Active);
    assert!(bench.notices().iter().any(|notice| notice.starts_with("haresources on node2 differs")));
}

#[test]
fn what_could_not_be_started_here_is_tried_at_once_when_nobody_else_is_left() {
    let mut pair = Pair::running(settings());
    pair.happens(1, Event::Standby { which: Which::Local, ticket: Ticket(1) });
    pair.wait(ms(100));
    assert_eq!(pair.holds(), [[true, true], [false, false]]);
    // It is wanted on node2 again, and does not start there.
    pair.works = false;
    pair.happens(1, Event::Takeover { which: Which::Local, ticket: Ticket(2) });
    pair.happens(1, Event::Acquired { group: GroupId(1), ok: false });
    pair.wait(ms(100));
    pair.clear();
    pair.cut = true;
    pair.wait(DEADTIME + ms(100));
    assert!(pair.has_done(1, &Action::Acquire { group: GroupId(1), why: Why::PeerDead }), "not after 10 s");
}

#[test]
fn the_pause_after_an_offer_that_nobody_took_ends_with_the_life_that_let_it_pass() {
    for nodes in [&["node1", "node2"][..], &["node1", "node2", "node3"][..]] {
        let settings = Settings { nodes: nodes.iter().map(|&name| name.to_owned()).collect(), ..settings() };
        let home = settings.plan.tags()[0];
        let mut bench = Bench::new("node2", settings);
        bench.happens(Event::Ready(true));
        bench.start();
        bench.peer.beats = false;
        bench.wait(ms(4_000));
        assert_eq!(bench.holds(), [true, true]);
        // It is fit to have its own group, and takes no offer.
        let free = Said { tag: home, state: State::Free, term: 0, will: Will::Willing, rank: 0, to: None };
        let word = Word { life: 11, active: true, ready: true, groups: vec![free], ..Word::default() };
        (bench.peer.beats, bench.peer.word) = (true, Some(word.clone()));
        let offers = |bench: &Bench| bench.node.state(GroupId(0)) == Some(State::Offering);
        bench.status(NodeStatus::Active);
        bench.wait(ms(1_000));
        assert!(offers(&bench));
        bench.wait(ms(10_000));
        assert!(!offers(&bench), "it was not taken");
        bench.peer.generation += 1;
        (bench.peer.seq, bench.peer.word) = (0, Some(Word { life: 12, ..word }));
        bench.status(NodeStatus::Active);
        bench.wait(ms(1_000));
        assert!(offers(&bench), "to another life");
    }
}
