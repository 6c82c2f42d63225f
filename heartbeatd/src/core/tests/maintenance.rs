//! Maintenance: what is here stays, and nothing moves but by an administrator; and groups that are moved one by one.

use super::stories::Pair;
use super::traces::both_hold_their_own;
use super::*;
use crate::core::{Refusal, Ticket, Which};

const HERE: [[bool; 2]; 2] = [[true, false], [false, true]];

fn maintained(node: usize) -> Pair {
    let mut pair = Pair::running(settings());
    pair.happens(node, Event::Maintenance(true));
    pair.clear();
    pair
}

#[test]
fn nothing_of_a_dead_node_is_taken_before_the_end() {
    let mut pair = maintained(0);
    pair.cut = true;
    pair.wait(ms(5_000));
    assert_eq!(pair.holds()[0], [true, false]);
    pair.happens(0, Event::Maintenance(false));
    assert_eq!(pair.holds()[0], [true, true]);
}

#[test]
fn what_an_administrator_asks_for_is_taken() {
    let mut pair = maintained(0);
    pair.cut = true;
    pair.wait(ms(5_000));
    pair.happens(0, Event::Takeover { which: Which::All, ticket: Ticket(1) });
    assert_eq!((pair.holds()[0], pair.answer(0)), ([true, true], Some(Ok(()))));
}

#[test]
fn a_group_does_not_go_home_before_the_end() {
    let mut pair = Pair::new(settings());
    pair.happens(0, Event::Ready(true));
    pair.happens(1, Event::Ready(true));
    pair.start(0);
    pair.wait(ms(4_000));
    assert_eq!(pair.holds()[0], [true, true]);
    pair.happens(0, Event::Maintenance(true));
    pair.start(1);
    pair.wait(ms(3_000));
    assert_eq!(pair.holds(), [[true, true], [false, false]]);
    pair.happens(0, Event::Maintenance(false));
    pair.wait(ms(300));
    assert_eq!(pair.holds(), HERE);
}

#[test]
fn a_node_that_starts_in_maintenance_takes_nothing_and_the_other_one_everything() {
    let mut pair = Pair::new(settings());
    for node in 0..2 {
        pair.happens(node, Event::Ready(true));
    }
    pair.happens(1, Event::Maintenance(true));
    pair.start(0);
    pair.start(1);
    pair.wait(ms(3_000));
    assert_eq!(pair.holds(), [[true, true], [false, false]]);
    assert!(pair.nodes[0].report().nodes[1].maintenance && pair.nodes[1].report().maintenance);
    // Nor is it given anything, and the administrator is told why.
    pair.happens(0, Event::Standby { which: Which::All, ticket: Ticket(1) });
    assert_eq!(pair.answer(0), Some(Err(Refusal::PeerMaintained)));
    pair.happens(1, Event::Maintenance(false));
    pair.wait(ms(300));
    assert_eq!(pair.holds(), HERE);
}

#[test]
fn in_maintenance_nobody_is_switched_off() {
    let mut pair = Pair::running(Settings { fences: true, ..settings() });
    let fences = |pair: &Pair| pair.done[0].iter().filter(|action| matches!(action, Action::Fence { .. })).count();
    pair.happens(0, Event::Maintenance(true));
    pair.cut = true;
    pair.wait(ms(20_000));
    assert_eq!((fences(&pair), pair.holds()[0]), (0, [true, false]));
    pair.happens(0, Event::Maintenance(false));
    assert_eq!(fences(&pair), 1);
    // An attempt that is under way is stopped.
    pair.happens(0, Event::Maintenance(true));
    assert!(pair.has_done(0, &Action::StopFencing { node: "node2".into() }));
    pair.wait(ms(20_000));
    assert_eq!(fences(&pair), 1);
}

#[test]
fn beside_an_old_heartbeat_maintenance_keeps_and_takes_nothing_too() {
    let mut bench = both_hold_their_own("node1");
    bench.happens(Event::Maintenance(true));
    bench.peer.beats = false;
    bench.wait(ms(3_000));
    assert_eq!(bench.holds(), [true, false]);
    bench.happens(Event::Maintenance(false));
    assert_eq!(bench.holds(), [true, true]);
}

#[test]
fn a_node_in_maintenance_gives_nothing_for_a_lost_ping_node() {
    let mut pair = Pair::running(Settings { pings: vec!["gateway".into()], ipfail: true, ..settings() });
    pair.happens(0, Event::PingAnswered(0));
    pair.happens(0, Event::Maintenance(true));
    let only_the_other_reaches_it = |pair: &mut Pair| {
        for _ in 0..25 {
            pair.happens(1, Event::PingAnswered(0));
            pair.wait(ms(200));
        }
    };
    only_the_other_reaches_it(&mut pair);
    assert_eq!(pair.holds(), HERE);
    pair.happens(0, Event::Maintenance(false));
    only_the_other_reaches_it(&mut pair);
    assert_eq!(pair.holds(), [[false, false], [true, true]]);
}

#[test]
fn one_group_is_given_and_the_others_stay() {
    let mut pair = Pair::running(settings());
    pair.happens(0, Event::Standby { which: Which::Group(GroupId(0)), ticket: Ticket(1) });
    pair.wait(ms(300));
    assert_eq!((pair.holds(), pair.answer(0)), ([[false, false], [true, true]], Some(Ok(()))));
    // It was sent away and stays; the other one goes alone as well.
    pair.wait(ms(20_000));
    pair.clear();
    pair.happens(1, Event::Standby { which: Which::Group(GroupId(1)), ticket: Ticket(2) });
    pair.wait(ms(300));
    assert_eq!((pair.holds(), pair.answer(1)), ([[false, true], [true, false]], Some(Ok(()))));
    pair.happens(1, Event::Standby { which: Which::Group(GroupId(1)), ticket: Ticket(3) });
    assert_eq!(pair.done[1].last(), Some(&Action::Answer { ticket: Ticket(3), result: Err(Refusal::NothingHeld) }));
}

#[test]
fn an_old_heartbeat_cannot_be_given_one_group_and_that_is_said() {
    let mut bench = both_hold_their_own("node1");
    assert_eq!(bench.holds(), [true, false]);
    bench.happens(Event::Standby { which: Which::Group(GroupId(0)), ticket: Ticket(1) });
    assert!(bench.done.contains(&Action::Answer { ticket: Ticket(1), result: Err(Refusal::OldPeer) }));
    assert_eq!(bench.holds(), [true, false]);
}
