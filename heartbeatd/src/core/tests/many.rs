//! Three nodes, of which the test plays one; clusters as a whole are in `tests/sim`.

use super::stories::Pair;
use super::*;

fn three() -> Settings {
    Settings { nodes: ["node1", "node2", "node3"].map(str::to_owned).into(), ..settings() }
}

fn taken(bench: &Bench) -> usize {
    bench.done.iter().filter(|action| matches!(action, Action::Acquire { .. })).count()
}

#[test]
fn beside_an_old_heartbeat_nothing_is_taken_and_it_is_told_once() {
    let mut bench = Bench::new("node1", three());
    bench.start();
    bench.happens(Event::Ready(true));
    bench.status(NodeStatus::Active);
    bench.wait(ms(20_000));
    let told = bench.done.iter().filter(|action| matches!(action, Action::Notice(Notice::OldAmongMany { .. })));
    assert_eq!((told.count(), taken(&bench)), (1, 0));
    let refused = |action: &Action| matches!(action, Action::Answer { result: Err(Refusal::OldAmongMany), .. });
    bench.happens(Event::Takeover { which: Which::All, ticket: Ticket(1) });
    assert!(bench.done.iter().any(refused), "{:?}", bench.done);
    bench.peer.beats = false;
    bench.wait(DEADTIME + ms(300));
    assert_eq!(taken(&bench), 2);
}

#[test]
fn what_is_heard_is_passed_on_once_and_nothing_is_asked_for_again() {
    let mut bench = Bench::new("node1", three());
    bench.start();
    bench.status(NodeStatus::Up);
    let passed = |bench: &Bench| bench.done.iter().filter(|action| matches!(action, Action::PassOn)).count();
    assert_eq!(passed(&bench), 1);
    bench.peer.seq -= 1;
    bench.status(NodeStatus::Up);
    assert_eq!(passed(&bench), 1);
    bench.peer.seq += 5;
    bench.wait(ms(2_000));
    let asks = |action: &Action| matches!(action, Action::Send(message) if matches!(message.body, Body::Rexmit { .. }));
    assert!(!bench.done.iter().any(asks));
}

#[test]
fn a_pair_passes_nothing_on() {
    let mut bench = Bench::new("node1", settings());
    bench.start();
    bench.wait(ms(2_000));
    assert!(!bench.done.iter().any(|action| matches!(action, Action::PassOn)));
}

#[test]
fn between_nodes_whose_files_name_other_nodes_nothing_moves_but_what_is_left_behind() {
    let mut pair = Pair::differing([settings(), three()]);
    for node in 0..2 {
        pair.happens(node, Event::Ready(true));
    }
    pair.start(0);
    pair.wait(ms(4_000));
    assert_eq!(pair.holds(), [[true, true], [false, false]]);
    // Its own group does not come home, and is not handed over or taken by hand either.
    pair.start(1);
    pair.wait(ms(20_000));
    assert_eq!(pair.holds(), [[true, true], [false, false]]);
    pair.happens(0, Event::Standby { which: Which::All, ticket: Ticket(1) });
    assert_eq!(pair.answer(0), Some(Err(Refusal::PeerUnable)));
    pair.happens(1, Event::Takeover { which: Which::All, ticket: Ticket(2) });
    pair.wait(ms(20_000));
    assert_eq!(pair.holds(), [[true, true], [false, false]]);
    // Stopped to be started with the new files, it leaves everything to the other at once.
    pair.happens(0, Event::Stop);
    pair.wait(ms(100));
    assert_eq!(pair.holds(), [[false, false], [true, true]]);
}

#[test]
fn in_maintenance_one_of_three_takes_nothing_before_its_end() {
    let mut bench = Bench::new("node1", three());
    bench.start();
    bench.happens(Event::Ready(true));
    bench.happens(Event::Maintenance(true));
    bench.peer.beats = false;
    bench.wait(ms(10_000));
    assert_eq!(taken(&bench), 0);
    bench.happens(Event::Maintenance(false));
    assert_eq!(taken(&bench), 2);
}
