//! Three nodes or more with fencing devices: who switches a silent one off, and when.

use std::collections::VecDeque;

use super::*;

const NAMES: [&str; 4] = ["node1", "node2", "node3", "node4"];

/// What the smaller part of a cluster waits.
const PATIENCE: Duration = Duration::from_secs(11);

/// Whole nodes on a wire that takes no time, with ways that may be cut, and devices that the test plays.
struct Nodes {
    nodes: Vec<Node>,
    off: Vec<bool>,
    cut: Vec<[bool; 4]>,
    now: Instant,
    done: Vec<Vec<Action>>,
}

impl Nodes {
    fn settings(count: usize, fences: bool) -> Settings {
        let nodes = NAMES[..count].iter().map(|name| (*name).to_owned()).collect();
        Settings { nodes, fences, ..settings() }
    }

    fn new(count: usize, devices: impl Fn(usize) -> bool) -> Self {
        let now = Instant::now();
        let node = |at: usize| Self::node(count, at, devices(at), now, 100);
        let nodes: Vec<Node> = (0..count).map(node).collect();
        let done = nodes.iter().map(|_| Vec::new()).collect();
        let mut this = Self { nodes, off: vec![true; count], cut: vec![[false; 4]; count], now, done };
        for node in 0..count {
            this.off[node] = false;
            this.turn(node, |core, now| core.handle(now, Event::Ready(true)));
            this.turn(node, begin);
        }
        this.wait(ms(1_500));
        this.done.iter_mut().for_each(Vec::clear);
        this
    }

    fn node(count: usize, at: usize, fences: bool, now: Instant, generation: u64) -> Node {
        let me = Identity { name: NAMES[at].into(), uuid: Uuid([at as u8 + 1; 16]), generation };
        Node::new(Self::settings(count, fences), me, now, at as u64 + generation)
    }

    /// All three with devices; node1 has the first group and node2 the second.
    fn three() -> Self {
        let nodes = Self::new(3, |_| true);
        assert_eq!((nodes.holds(0), nodes.holds(1), nodes.holds(2)), ([true, false], [false, true], [false, false]));
        nodes
    }

    fn turn(&mut self, node: usize, call: impl FnOnce(&mut Node, Instant) -> Vec<Action>) {
        let mut waiting = VecDeque::from([(node, call(&mut self.nodes[node], self.now), None)]);
        while let Some((node, actions, hearing)) = waiting.pop_front() {
            for action in actions {
                let event = match &action {
                    Action::Send(message) => {
                        self.deliver(node, message.heard(), &mut waiting);
                        None
                    }
                    Action::PassOn => {
                        if let Some(heard) = hearing.clone() {
                            self.deliver(node, heard, &mut waiting);
                        }
                        None
                    }
                    Action::Acquire { group, .. } => Some(Event::Acquired { group: *group, ok: true }),
                    Action::Release { group, .. } => Some(Event::Released { group: *group, ok: true }),
                    _ => None,
                };
                self.done[node].push(action);
                if let Some(event) = event {
                    waiting.push_back((node, self.nodes[node].handle(self.now, event), None));
                }
            }
        }
    }

    fn deliver(&mut self, from: usize, heard: Heard, waiting: &mut VecDeque<(usize, Vec<Action>, Option<Heard>)>) {
        for (to, name) in NAMES.iter().enumerate().take(self.nodes.len()) {
            let hears = to != from && !self.cut[from][to] && !self.off[to] && *name != heard.header.src;
            if hears && !self.off[from] {
                waiting.push_back((to, self.nodes[to].heard(self.now, 0, &heard), Some(heard.clone())));
            }
        }
    }

    fn happens(&mut self, node: usize, event: Event) {
        self.turn(node, |core, now| core.handle(now, event));
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        for turn in 0.. {
            assert!(turn < 100_000, "the nodes keep each other busy");
            let running = (0..self.nodes.len()).filter(|node| !self.off[*node]);
            let next = running.map(|node| (self.nodes[node].deadline(), node)).min();
            let Some((next, node)) = next.filter(|(next, _)| *next <= end) else { break };
            self.now = self.now.max(next);
            self.turn(node, |core, now| core.tick(now));
        }
        self.now = end;
    }

    fn holds(&self, node: usize) -> [bool; 2] {
        [0, 1].map(|group| self.nodes[node].state(GroupId(group)) == Some(State::Held))
    }

    /// Nothing gets from one of these to the others, and back.
    fn cut_off(&mut self, part: &[usize]) {
        for from in 0..self.nodes.len() {
            for to in 0..self.nodes.len() {
                self.cut[from][to] |= part.contains(&from) != part.contains(&to);
            }
        }
    }

    /// Which attempts each node has begun: at which node, as which number.
    fn attempts(&self, node: usize) -> Vec<(String, u64)> {
        let attempts = self.done[node].iter().filter_map(|action| match action {
            Action::Fence { node, attempt } => Some((node.clone(), *attempt)),
            _ => None,
        });
        attempts.collect()
    }

    fn counts(&self) -> Vec<usize> {
        (0..self.nodes.len()).map(|node| self.attempts(node).len()).collect()
    }

    /// The last attempt of a node ends.
    fn ends(&mut self, node: usize, ok: bool) {
        let (_, attempt) = self.attempts(node).last().cloned().expect("an attempt was begun");
        self.happens(node, Event::Fenced { attempt, ok });
    }

    fn has_stopped(&self, node: usize, target: usize) -> bool {
        self.done[node].contains(&Action::StopFencing { node: NAMES[target].into() })
    }
}

#[test]
fn one_of_those_that_are_left_fences_and_nothing_is_taken_before() {
    let mut three = Nodes::three();
    three.off[0] = true;
    three.wait(DEADTIME + ms(300));
    assert_eq!(three.counts(), [0, 1, 0]);
    // However long it takes, nobody else begins, and what is held stays.
    three.wait(Duration::from_secs(300));
    assert_eq!((three.counts(), three.holds(1), three.holds(2)), (vec![0, 1, 0], [false, true], [false, false]));
    assert_eq!([1, 2].map(|node: usize| three.nodes[node].report().nodes[0].fencing), [Some(1), Some(0)]);
    three.ends(1, true);
    three.wait(ms(100));
    assert_eq!(three.holds(1), [true, true]);
    assert!(three.nodes[2].is_stable() && three.nodes[2].report().nodes[0].fencing.is_none());
    let told = three.done[2]
        .iter()
        .any(|action| matches!(action, Action::Notice(Notice::KnownOff { node, .. }) if node == "node1"));
    assert!(told);
}

#[test]
fn a_node_that_had_nothing_is_fenced_as_well() {
    let mut three = Nodes::three();
    three.off[2] = true;
    three.wait(DEADTIME + ms(300));
    assert_eq!(three.counts(), [1, 0, 0]);
}

#[test]
fn when_a_device_fails_the_next_node_tries_and_they_go_on_by_turns() {
    let mut three = Nodes::three();
    three.off[0] = true;
    three.wait(DEADTIME + ms(300));
    three.ends(1, false);
    three.wait(ms(100));
    assert_eq!(three.counts(), [0, 1, 1]);
    three.ends(2, false);
    three.wait(ms(4_500));
    assert_eq!(three.counts(), [0, 1, 1]);
    three.wait(ms(600));
    assert_eq!(three.counts(), [0, 2, 1]);
    assert_eq!((three.holds(1), three.holds(2)), ([false, true], [false, false]));
}

#[test]
fn when_the_one_that_fences_dies_the_next_one_fences_both() {
    let mut three = Nodes::three();
    three.off[0] = true;
    three.wait(DEADTIME + ms(300));
    three.off[1] = true;
    three.wait(DEADTIME + ms(300));
    // One against two that it does not hear: it waits, for the case that they hear each other.
    assert_eq!(three.counts(), [0, 1, 0]);
    three.wait(PATIENCE * 3);
    let targets: Vec<String> = three.attempts(2).into_iter().map(|(target, _)| target).collect();
    assert_eq!(targets, ["node1", "node2"]);
    let attempts = three.attempts(2);
    for (_, attempt) in &attempts {
        assert_eq!(three.holds(2), [false, false]);
        three.happens(2, Event::Fenced { attempt: *attempt, ok: true });
    }
    // The last of three serves.
    assert_eq!(three.holds(2), [true, true]);
}

#[test]
fn the_larger_part_shoots_at_once_and_the_smaller_one_later() {
    for alone in 0..3 {
        let mut three = Nodes::three();
        three.cut_off(&[alone]);
        three.wait(DEADTIME + ms(500));
        let mut wanted = vec![0; 3];
        wanted[usize::from(alone == 0)] = 1;
        assert_eq!(three.counts(), wanted);
        three.wait(PATIENCE - DEADTIME - ms(600));
        assert_eq!(three.counts(), wanted);
        // Nobody has switched it off, so the others are taken for dead.
        three.wait(PATIENCE * 3);
        assert_eq!(three.attempts(alone).len(), 2);
    }
}

#[test]
fn of_two_equal_parts_the_one_with_the_first_node_shoots_at_once() {
    let mut four = Nodes::new(4, |_| true);
    four.cut_off(&[1, 2]);
    four.wait(DEADTIME + ms(500));
    assert_eq!(four.counts(), [2, 0, 0, 0]);
    four.wait(PATIENCE + ms(500));
    assert_eq!(four.counts(), [2, 2, 0, 0]);
}

#[test]
fn a_node_that_somebody_hears_is_not_fenced_and_an_attempt_stops_when_it_is_heard() {
    let mut three = Nodes::three();
    (three.cut[0][1], three.cut[1][0]) = (true, true);
    three.wait(Duration::from_secs(30));
    assert_eq!(three.counts(), [0, 0, 0]);
    three.cut_off(&[0]);
    three.wait(DEADTIME + ms(500));
    assert_eq!(three.counts(), [0, 1, 0]);
    (three.cut[0][2], three.cut[2][0]) = (false, false);
    three.wait(ms(300));
    assert!(three.has_stopped(1, 0));
    // It had ended before it could be stopped: nothing is taken for that.
    three.ends(1, true);
    three.wait(Duration::from_secs(30));
    assert_eq!((three.counts(), three.holds(0), three.holds(1)), (vec![0, 1, 0], [true, false], [false, true]));
}

#[test]
fn an_administrator_says_on_one_node_that_another_is_off_and_all_know() {
    let mut three = Nodes::three();
    three.off[0] = true;
    let confirm = || Event::ConfirmDead { node: "node1".into(), ticket: Ticket(1) };
    let answer = |three: &Nodes| {
        three.done[2].iter().rev().find_map(|action| match action {
            Action::Answer { result, .. } => Some(result.clone()),
            _ => None,
        })
    };
    three.happens(2, confirm());
    assert_eq!(answer(&three), Some(Err(Refusal::NotUnfenced)));
    three.wait(DEADTIME + ms(300));
    three.happens(2, Event::Takeover { which: Which::All, ticket: Ticket(2) });
    assert_eq!(answer(&three), Some(Err(Refusal::Unfenced)));
    three.happens(2, confirm());
    three.wait(ms(100));
    assert_eq!(answer(&three), Some(Ok(())));
    assert!(three.has_stopped(1, 0) && three.holds(1)[0]);
}

#[test]
fn one_in_maintenance_fences_nobody_and_the_next_one_does() {
    let mut three = Nodes::three();
    three.happens(1, Event::Maintenance(true));
    three.off[0] = true;
    three.wait(DEADTIME + ms(300));
    assert_eq!(three.counts(), [0, 0, 1]);
    three.happens(2, Event::Maintenance(true));
    three.wait(Duration::from_secs(30));
    assert!(three.has_stopped(2, 0));
    three.happens(1, Event::Maintenance(false));
    assert_eq!(three.counts(), [0, 1, 1]);
}

#[test]
fn a_node_without_devices_waits_for_those_that_have_some() {
    let mut three = Nodes::new(3, |node| node == 2);
    three.off[0] = true;
    three.wait(DEADTIME + ms(300));
    assert_eq!((three.counts(), three.holds(1)), (vec![0, 0, 1], [false, true]));
    // When nobody is left who could, it goes on without, and says so.
    three.off[2] = true;
    three.wait(DEADTIME + ms(300));
    assert_eq!((three.counts(), three.holds(1)), (vec![0, 0, 1], [true, true]));
    assert!(three.done[1].iter().any(|action| matches!(action, Action::Notice(Notice::NotFenced { .. }))));
}

#[test]
fn one_that_starts_and_hears_nobody_shoots_nobody_before_an_administrator_has_spoken() {
    let now = Instant::now();
    let mut three = Nodes::new(3, |_| true);
    three.off = vec![true, true, false];
    three.nodes[2] = Nodes::node(3, 2, true, three.now.max(now), 101);
    three.turn(2, |core, now| core.handle(now, Event::Ready(true)));
    three.turn(2, begin);
    three.wait(Duration::from_secs(300));
    assert_eq!((three.counts()[2], three.holds(2)), (0, [false, false]));
    assert!(three.done[2].contains(&Action::Notice(Notice::MetNobody)));
    for node in ["node1", "node2"] {
        assert_eq!(three.holds(2), [false, false]);
        three.happens(2, Event::ConfirmDead { node: node.into(), ticket: Ticket(1) });
    }
    assert_eq!(three.holds(2), [true, true]);
}

#[test]
fn one_that_was_fenced_and_comes_back_is_heard_and_gets_its_group() {
    let mut three = Nodes::three();
    three.off[0] = true;
    three.wait(DEADTIME + ms(300));
    three.ends(1, true);
    three.wait(Duration::from_secs(5));
    three.nodes[0] = Nodes::node(3, 0, true, three.now, 101);
    three.off[0] = false;
    three.turn(0, |core, now| core.handle(now, Event::Ready(true)));
    three.turn(0, begin);
    three.wait(Duration::from_secs(2));
    assert_eq!((three.holds(0), three.holds(1), three.counts()), ([true, false], [false, true], vec![0, 1, 0]));
    // Another life, another death.
    three.off[0] = true;
    three.wait(DEADTIME + ms(300));
    assert_eq!((three.counts(), three.holds(1)), (vec![0, 2, 0], [false, true]));
}

#[test]
fn a_device_that_lies_is_found_out_when_the_node_is_heard_in_the_same_life() {
    let mut three = Nodes::three();
    three.cut_off(&[0]);
    three.wait(DEADTIME + ms(300));
    three.ends(1, true);
    three.wait(ms(100));
    assert!(three.holds(1)[0]);
    three.cut = vec![[false; 4]; 3];
    three.wait(ms(500));
    assert!(three.done[1].iter().any(|action| matches!(action, Action::Notice(Notice::FencedButAlive { .. }))));
}

#[test]
fn what_is_said_of_silent_nodes_travels_in_a_field_of_its_own_and_the_rest_stays_readable() {
    let mut three = Nodes::three();
    three.off[0] = true;
    three.wait(DEADTIME + ms(300));
    let word = three.done[1].iter().rev().find_map(|action| match action {
        Action::Send(message) => message.word.clone(),
        _ => None,
    });
    let word = word.expect("a status was sent");
    assert!(word.fencing.devices && word.fencing.silent.len() == 1);
    let plain: Word = word.to_string().parse().unwrap();
    assert_eq!(Word { fencing: word.fencing.clone(), ..plain }, word);
}

#[test]
fn a_node_whose_own_cables_are_out_leaves_the_fencing_to_others() {
    let mut three = Nodes::three();
    for group in [GroupId(0), GroupId(1)] {
        three.happens(1, Event::Reach { group, reachable: false });
    }
    three.off[0] = true;
    three.wait(DEADTIME + ms(300));
    assert_eq!(three.counts(), [0, 0, 1], "it would be node2's turn");
    three.ends(2, true);
    three.wait(ms(100));
    assert!(three.holds(2)[0]);
}

#[test]
fn the_last_director_serves_again_after_it_was_not_run_for_a_while() {
    let mut three = Nodes::three();
    three.off[1] = true;
    three.wait(DEADTIME + ms(300));
    three.ends(0, true);
    three.off[2] = true;
    three.wait(DEADTIME + ms(300) + PATIENCE * 3);
    three.ends(0, true);
    three.wait(ms(100));
    assert_eq!(three.holds(0), [true, true]);
    // Not run for longer than deadtime.
    three.now += DEADTIME * 3;
    three.turn(0, |core, now| core.tick(now));
    three.wait(ms(1));
    assert_eq!(three.holds(0), [false, false]);
    three.wait(DEADTIME + ms(300) + PATIENCE * 3);
    // It has met others since the program started.
    let attempts = three.attempts(0).split_off(2);
    assert_eq!(attempts.len(), 2);
    for (_, attempt) in attempts {
        three.happens(0, Event::Fenced { attempt, ok: true });
    }
    three.wait(ms(100));
    assert_eq!(three.holds(0), [true, true]);
}
