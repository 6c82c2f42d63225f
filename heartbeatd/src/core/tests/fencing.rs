//! A silent node is switched off before anything of it is taken.

use super::*;
use crate::core::{Refusal, Said, Ticket, Will};

/// A pair with a fencing device, the other node active and with its group.
fn pair() -> Bench {
    let mut bench = Bench::new("node1", Settings { fences: true, ..settings() });
    bench.happens(Event::Ready(true));
    bench.peer.word = Some(word([State::Free, State::Held]));
    bench.start();
    bench.status(NodeStatus::Up);
    bench.status(NodeStatus::Active);
    bench.wait(ms(600));
    bench.done.clear();
    bench
}

/// What another heartbeatd says of the two groups.
fn word(states: [State; 2]) -> Word {
    let plan = settings().plan;
    let said = |(at, state): (usize, State)| Said {
        tag: plan.tags()[at],
        state,
        term: 5,
        will: Will::Willing,
        rank: 0,
        to: None,
    };
    Word {
        active: true,
        ready: true,
        settled: true,
        maintenance: false,
        life: 7,
        groups: states.into_iter().enumerate().map(said).collect(),
        ..Word::default()
    }
}

fn falls_silent(bench: &mut Bench) {
    bench.peer.beats = false;
    bench.done.clear();
    bench.wait(DEADTIME + ms(100));
}

fn attempts(bench: &Bench) -> usize {
    bench.done.iter().filter(|action| matches!(action, Action::Fence { node, .. } if node == "node2")).count()
}

/// The number of the attempt begun last.
fn latest(bench: &Bench) -> u64 {
    let attempt = bench.done.iter().rev().find_map(|action| match action {
        Action::Fence { attempt, .. } => Some(*attempt),
        _ => None,
    });
    attempt.expect("an attempt was begun")
}

/// It has ended.
fn ends(bench: &mut Bench, ok: bool) {
    let attempt = latest(bench);
    bench.happens(Event::Fenced { attempt, ok });
}

fn is_stopped(bench: &Bench) -> bool {
    bench.done.contains(&Action::StopFencing { node: "node2".into() })
}

fn answers(bench: &Bench) -> Vec<Result<(), Refusal>> {
    let answers = bench.done.iter().filter_map(|action| match action {
        Action::Answer { result, .. } => Some(result.clone()),
        _ => None,
    });
    answers.collect()
}

#[test]
fn a_node_that_may_hold_something_is_fenced_before_anything_of_it_is_taken() {
    let mut bench = pair();
    falls_silent(&mut bench);
    assert_eq!((attempts(&bench), bench.holds()[1]), (1, false));
    // However long it takes.
    bench.wait(Duration::from_secs(600));
    assert_eq!((attempts(&bench), bench.holds()[1]), (1, false));
    assert!(!bench.node.is_stable());
    assert_eq!(bench.node.report().nodes[1].fencing, Some(1));
    ends(&mut bench, true);
    assert!(bench.holds()[1]);
    assert!(bench.notices().iter().any(|line| line == "node node2 now reset."));
    assert!(bench.notices().iter().all(|line| !line.contains("No STONITH")));
    assert!(bench.said().iter().any(|line| line.contains("Stonith") && line.contains("OK")));
    assert_eq!(bench.node.report().nodes[1].fencing, None);
}

#[test]
fn an_attempt_that_fails_is_repeated_every_five_seconds_and_nothing_is_taken() {
    let mut bench = pair();
    falls_silent(&mut bench);
    for attempt in 2..20 {
        ends(&mut bench, false);
        bench.wait(ms(4900));
        assert_eq!(attempts(&bench), attempt - 1);
        bench.wait(ms(200));
        assert_eq!((attempts(&bench), bench.holds()[1]), (attempt, false));
    }
    ends(&mut bench, true);
    assert!(bench.holds()[1]);
}

#[test]
fn an_administrator_may_say_that_a_node_is_off_and_only_of_one_that_is_waited_for() {
    let mut bench = pair();
    let confirm = |node: &str| Event::ConfirmDead { node: node.into(), ticket: Ticket(1) };
    bench.happens(confirm("node2"));
    assert_eq!(answers(&bench), [Err(Refusal::NotUnfenced)]);
    falls_silent(&mut bench);
    bench.happens(confirm("node3"));
    bench.happens(Event::Takeover { which: Which::All, ticket: Ticket(2) });
    assert_eq!(answers(&bench), [Err(Refusal::NotUnfenced), Err(Refusal::Unfenced)]);
    assert!(!bench.holds()[1]);
    bench.happens(confirm("node2"));
    assert_eq!(answers(&bench).last(), Some(&Ok(())));
    assert!(bench.holds()[1]);
    // The end of the attempt that was under way changes nothing any more.
    ends(&mut bench, false);
    bench.wait(Duration::from_secs(20));
    assert_eq!(attempts(&bench), 1);
}

#[test]
fn a_node_that_said_that_it_has_nothing_or_that_it_leaves_is_not_fenced() {
    let mut bench = pair();
    // Our claim of the first group first, then that we have it.
    for _ in 0..2 {
        let heard = Some((bench.node.life(), bench.node.highest_sent()));
        bench.peer.word = Some(Word { heard, ..word([State::Free, State::Free]) });
        bench.status(NodeStatus::Active);
    }
    assert_eq!(bench.holds(), [true, false]);
    falls_silent(&mut bench);
    assert_eq!((attempts(&bench), bench.holds()), (0, [true, true]));
    let mut bench = pair();
    bench.peer.beats = false;
    bench.says(Body::Shutdone);
    bench.wait(DEADTIME * 3);
    assert_eq!((attempts(&bench), bench.holds()), (0, [true, true]));
}

#[test]
fn a_node_that_has_nothing_and_does_not_know_that_we_have_something_could_take_it_and_is_fenced() {
    // It has heard nothing, what was said before we had anything, or something in an earlier life of ours.
    for heard in [None, Some((0, 1)), Some((1, 1_000))] {
        let mut bench = pair();
        let life = bench.node.life();
        let heard = heard.map(|(earlier, seq)| (life.wrapping_sub(earlier), seq));
        bench.peer.word = Some(Word { heard, ..word([State::Free, State::Free]) });
        bench.status(NodeStatus::Active);
        falls_silent(&mut bench);
        assert_eq!((attempts(&bench), bench.holds()), (1, [false, false]));
    }
}

#[test]
fn a_node_that_was_never_heard_is_fenced_when_communication_comes_up() {
    let mut bench = Bench::new("node1", Settings { fences: true, ..settings() });
    bench.happens(Event::Ready(true));
    bench.peer.beats = false;
    bench.start();
    bench.wait(ms(3200));
    assert_eq!((attempts(&bench), bench.holds()), (1, [false, false]));
    ends(&mut bench, true);
    assert_eq!(bench.holds(), [true, true]);
}

#[test]
fn a_node_that_is_heard_again_is_waited_for_no_longer() {
    let mut bench = pair();
    falls_silent(&mut bench);
    ends(&mut bench, false);
    bench.peer.beats = true;
    bench.status(NodeStatus::Active);
    bench.wait(Duration::from_secs(20));
    assert_eq!((attempts(&bench), bench.holds()[1]), (1, false));
    assert_eq!(bench.node.report().nodes[1].fencing, None);
    // Nothing is told of a device that has said nothing.
    assert!(bench.notices().iter().all(|line| !line.contains("another machine")));
}

#[test]
fn a_device_that_lies_is_found_out_when_the_node_is_heard() {
    let mut bench = pair();
    falls_silent(&mut bench);
    ends(&mut bench, true);
    assert!(bench.holds()[1]);
    bench.peer.beats = true;
    bench.status(NodeStatus::Active);
    assert!(matches!(bench.worst(), Some((Level::Crit, _))));
    assert!(bench.notices().iter().any(|line| line.contains("resets another machine, or none")));
}

#[test]
fn devices_are_stopped_when_nobody_waits_for_them_and_their_answer_changes_nothing() {
    type Reason = fn(&mut Bench);
    let heard: Reason = |bench| {
        bench.peer.beats = true;
        bench.status(NodeStatus::Active);
    };
    let began: Reason = |bench| {
        bench.peer.beats = true;
        bench.peer.generation += 1;
        bench.peer.seq = 0;
        bench.status(NodeStatus::Up);
        bench.status(NodeStatus::Active);
    };
    let stop: Reason = |bench| bench.happens(Event::Stop);
    for (at, reason) in [heard, began, stop].into_iter().enumerate() {
        let mut bench = pair();
        falls_silent(&mut bench);
        assert!(!is_stopped(&bench));
        reason(&mut bench);
        assert!(is_stopped(&bench), "{at}");
        assert_eq!(bench.node.report().nodes[1].fencing, None);
        // It had ended before it could be stopped.
        ends(&mut bench, true);
        assert!(!bench.holds()[1], "{at}");
        assert!(bench.notices().iter().all(|line| !line.contains("another machine")), "{at}");
        // Between two attempts there is nothing to stop.
        let mut bench = pair();
        falls_silent(&mut bench);
        ends(&mut bench, false);
        reason(&mut bench);
        assert!(!is_stopped(&bench), "{at}");
    }
    let mut bench = pair();
    falls_silent(&mut bench);
    bench.happens(Event::ConfirmDead { node: "node2".into(), ticket: Ticket(1) });
    assert!(is_stopped(&bench) && bench.holds()[1]);
}

#[test]
fn the_end_of_an_attempt_for_an_earlier_death_is_not_taken_for_the_later_one() {
    let mut bench = pair();
    falls_silent(&mut bench);
    let earlier = latest(&bench);
    bench.peer.beats = true;
    bench.peer.generation += 1;
    bench.peer.seq = 0;
    bench.status(NodeStatus::Up);
    bench.status(NodeStatus::Active);
    bench.wait(ms(600));
    falls_silent(&mut bench);
    assert_eq!(attempts(&bench), 1);
    assert_ne!(latest(&bench), earlier);
    for ok in [true, false] {
        bench.happens(Event::Fenced { attempt: earlier, ok });
        assert_eq!((bench.holds()[1], bench.node.report().nodes[1].fencing), (false, Some(1)));
    }
    bench.wait(Duration::from_secs(20));
    assert_eq!(attempts(&bench), 1, "it is still under way");
    ends(&mut bench, true);
    assert!(bench.holds()[1]);
}

#[test]
fn an_old_heartbeat_that_serves_and_has_said_nothing_yet_is_fenced() {
    for says_nothing in [true, false] {
        let mut bench = Bench::new("node1", Settings { fences: true, ..settings() });
        bench.start();
        bench.status(NodeStatus::Active);
        let nodes = vec!["node1".into(), "node2".into()];
        bench.says(Body::RepNodes { dest: "node1".into(), nodes, deleted: vec![] });
        bench.wait(ms(600));
        if !says_nothing {
            bench.resource(Hold::None, true, None);
        }
        falls_silent(&mut bench);
        // We are not ready, so it was not asked either.
        let expected = if says_nothing { (1, [false, false]) } else { (0, [true, true]) };
        assert_eq!((attempts(&bench), bench.holds()), expected);
        if says_nothing {
            ends(&mut bench, true);
            assert_eq!(bench.holds(), [true, true]);
        }
    }
}

#[test]
fn a_node_in_a_new_life_has_been_fenced_well() {
    let mut bench = pair();
    falls_silent(&mut bench);
    bench.peer.generation += 1;
    bench.peer.seq = 0;
    bench.peer.word = Some(word([State::Free, State::Free]));
    bench.peer.beats = true;
    bench.status(NodeStatus::Up);
    ends(&mut bench, true);
    bench.wait(ms(500));
    assert!(bench.notices().iter().all(|line| !line.contains("another machine")));
    assert_eq!(attempts(&bench), 1);
}

#[test]
fn a_node_that_stops_fences_nobody() {
    let mut bench = pair();
    falls_silent(&mut bench);
    ends(&mut bench, false);
    bench.happens(Event::Stop);
    bench.wait(Duration::from_secs(20));
    assert_eq!(attempts(&bench), 1);
    assert!(bench.done.contains(&Action::Stopped));
}

#[test]
fn without_a_device_the_groups_are_taken_at_once_with_one_loud_warning() {
    let mut bench = pair();
    bench = Bench { node: Node::new(settings(), identity(), bench.now, 7), ..bench };
    bench.happens(Event::Ready(true));
    bench.start();
    let mut warnings = 0;
    for _ in 0..3 {
        bench.peer.beats = true;
        bench.peer.generation += 1;
        bench.peer.seq = 0;
        bench.status(NodeStatus::Active);
        bench.wait(ms(600));
        falls_silent(&mut bench);
        assert!(bench.holds()[1]);
        warnings += bench.notices().iter().filter(|line| line.contains("No STONITH device configured")).count();
        bench.peer.word = Some(word([State::Free, State::Held]));
    }
    assert_eq!(warnings, 1);
}

fn identity() -> Identity {
    Identity { name: "node1".into(), uuid: Uuid([1; 16]), generation: 101 }
}

fn reach(bench: &mut Bench, reachable: bool) {
    for group in [GroupId(0), GroupId(1)] {
        bench.happens(Event::Reach { group, reachable });
    }
}

#[test]
fn a_node_whose_own_cables_are_out_switches_nobody_off_before_they_are_in_again() {
    let mut bench = pair();
    reach(&mut bench, false);
    falls_silent(&mut bench);
    bench.wait(Duration::from_secs(60));
    assert_eq!((attempts(&bench), bench.holds()[1]), (0, false));
    reach(&mut bench, true);
    bench.wait(KEEPALIVE + ms(10));
    assert_eq!(attempts(&bench), 1);
    // And one that is under way is stopped.
    reach(&mut bench, false);
    assert!(is_stopped(&bench));
    reach(&mut bench, true);
    bench.wait(KEEPALIVE + ms(10));
    assert_eq!(attempts(&bench), 2);
}
