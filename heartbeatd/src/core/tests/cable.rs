//! A cable that is out and in again, between two heartbeatd.

use super::stories::Pair;
use super::*;
use crate::core::Why;

fn reach(pair: &mut Pair, node: usize, reachable: bool) {
    for group in [GroupId(0), GroupId(1)] {
        pair.happens(node, Event::Reach { group, reachable });
    }
}

fn pulled(pair: &mut Pair, node: usize) {
    pair.cut = true;
    reach(pair, node, false);
}

/// The link event comes first, and then what is said and heard.
fn plugged(pair: &mut Pair, node: usize) {
    pair.cut = false;
    reach(pair, node, true);
    pair.wait(ms(1));
    pair.happens(node, Event::CableBack);
}

fn did(pair: &Pair, node: usize, which: impl Fn(&Action) -> bool) -> usize {
    pair.done[node].iter().filter(|action| which(action)).count()
}

#[test]
fn who_was_cut_off_lets_go_in_the_turn_in_which_its_cable_is_in_again_and_no_client_has_seen_it() {
    let mut pair = Pair::running(Settings { auto_failback: false, ..settings() });
    pulled(&mut pair, 0);
    pair.wait(DEADTIME - KEEPALIVE);
    assert!(pair.has_done(0, &Action::Withhold { group: GroupId(0) }));
    assert!(!pair.nodes[0].leases().any(|group| group == GroupId(0)));
    pair.wait(ms(5_000));
    // It takes nothing that nobody can reach on it, so its tenancies are not the later ones.
    assert_eq!(pair.holds(), [[true, false], [true, true]]);
    pair.clear();
    plugged(&mut pair, 0);
    assert_eq!(pair.holds(), [[false, false], [true, true]]);
    assert_eq!(did(&pair, 0, |action| matches!(action, Action::Restore { .. })), 0);
    assert_eq!(did(&pair, 1, |action| matches!(action, Action::Release { .. } | Action::Withhold { .. })), 0);
    pair.wait(ms(5_000));
    assert_eq!(pair.holds(), [[false, false], [true, true]]);
    assert_eq!(did(&pair, 0, |action| matches!(action, Action::Acquire { .. })), 0);
}

#[test]
fn failback_after_a_cut_is_a_planned_switch() {
    let mut pair = Pair::running(settings());
    pulled(&mut pair, 0);
    pair.wait(ms(5_000));
    plugged(&mut pair, 0);
    pair.wait(ms(1_000));
    assert_eq!(pair.holds(), [[true, false], [false, true]]);
    let planned = |action: &Action| matches!(action, Action::Acquire { why: Why::Failback, .. });
    assert_eq!(did(&pair, 0, planned), 1);
}

#[test]
fn where_the_other_node_is_dead_the_addresses_are_on_again_a_keepalive_after_the_cable() {
    let mut pair = Pair::running(settings());
    pair.cut = true;
    pair.wait(ms(3_000));
    assert_eq!(pair.holds()[0], [true, true]);
    reach(&mut pair, 0, false);
    pair.wait(ms(3_000));
    pair.clear();
    reach(&mut pair, 0, true);
    pair.happens(0, Event::CableBack);
    pair.wait(KEEPALIVE - ms(1));
    assert_eq!(did(&pair, 0, |action| matches!(action, Action::Restore { .. })), 0);
    // So that one who hears it again lets go or answers as early as it can.
    assert!(did(&pair, 0, |action| matches!(action, Action::Send(_))) >= 5);
    pair.wait(ms(1));
    assert_eq!(did(&pair, 0, |action| matches!(action, Action::Restore { .. })), 2);
    assert_eq!(pair.holds()[0], [true, true]);
}

#[test]
fn a_group_whose_card_is_dead_goes_to_the_node_that_is_heard_on_another_and_home_when_it_works_again() {
    let mut pair = Pair::running(settings());
    reach(&mut pair, 0, false);
    pair.wait(DEADTIME - KEEPALIVE - ms(1));
    assert_eq!(pair.holds(), [[true, false], [false, true]], "it may come back at any moment");
    pair.wait(KEEPALIVE + ms(100));
    assert_eq!(pair.holds(), [[false, false], [true, true]]);
    assert!(pair.has_done(0, &Action::Release { group: GroupId(0), why: Why::Unreachable }));
    pair.wait(ms(20_000));
    assert_eq!(pair.holds(), [[false, false], [true, true]], "not before it can be reached");
    reach(&mut pair, 0, true);
    pair.wait(ms(1_000));
    assert_eq!(pair.holds(), [[true, false], [false, true]]);
}

#[test]
fn who_died_before_it_could_take_a_group_is_offered_it_at_once_in_its_next_life() {
    for nodes in [&["node1", "node2"][..], &["node1", "node2", "node3"][..]] {
        let settings = Settings { nodes: nodes.iter().map(|&name| name.to_owned()).collect(), ..settings() };
        let mut pair = Pair::new(settings.clone());
        for node in 0..2 {
            pair.happens(node, Event::Ready(true));
            pair.start(node);
        }
        pair.wait(ms(4_000));
        reach(&mut pair, 0, false);
        pair.works = false;
        pair.wait(DEADTIME + ms(50));
        assert!(pair.has_done(1, &Action::Acquire { group: GroupId(0), why: Why::Standby }));
        pair.cut = true;
        pair.wait(DEADTIME + KEEPALIVE);
        assert_eq!(pair.holds()[0], [true, false], "nobody has taken it");
        (pair.cut, pair.works) = (false, true);
        pair.restart(1, settings);
        // Of three the last is waited for.
        pair.wait(ms(4_000));
        assert_eq!(pair.holds(), [[false, false], [true, true]]);
    }
}

#[test]
fn where_no_card_works_or_an_administrator_is_at_work_nothing_moves() {
    for prepare in [
        (|pair: &mut Pair| reach(pair, 1, false)) as fn(&mut Pair),
        |pair| pair.happens(0, Event::Maintenance(true)),
        |pair| pair.happens(1, Event::Maintenance(true)),
    ] {
        let mut pair = Pair::running(settings());
        prepare(&mut pair);
        reach(&mut pair, 0, false);
        pair.wait(ms(5_000));
        let moves = |action: &Action| {
            matches!(
                action,
                Action::Acquire { .. } | Action::Release { .. } | Action::Withhold { .. } | Action::Restore { .. }
            )
        };
        assert_eq!([did(&pair, 0, moves), did(&pair, 1, moves)], [0, 0]);
    }
}

#[test]
fn what_nobody_can_reach_goes_to_a_node_that_is_not_ready_yet_too() {
    let mut pair = Pair::running(settings());
    pair.happens(1, Event::Ready(false));
    reach(&mut pair, 0, false);
    pair.wait(DEADTIME + KEEPALIVE);
    assert_eq!(pair.holds(), [[false, false], [true, true]]);
}

#[test]
fn of_three_nodes_another_takes_what_a_dead_card_keeps_from_everybody() {
    let three = Settings { nodes: ["node1", "node2", "node3"].map(str::to_owned).into(), ..settings() };
    let mut pair = Pair::new(three);
    for node in 0..2 {
        pair.happens(node, Event::Ready(true));
        pair.start(node);
    }
    pair.wait(ms(4_000));
    reach(&mut pair, 0, false);
    pair.wait(DEADTIME + KEEPALIVE);
    assert_eq!(pair.holds(), [[false, false], [true, true]]);
    reach(&mut pair, 0, true);
    pair.wait(ms(1_000));
    assert_eq!(pair.holds(), [[true, false], [false, true]]);
}

#[test]
fn who_keeps_a_group_after_a_partition_tells_the_neighbours_even_if_the_other_let_go_unheard() {
    let mut pair = Pair::running(Settings { auto_failback: false, ..settings() });
    pair.cut = true;
    pair.wait(ms(3_000));
    assert_eq!(pair.holds(), [[true, true], [true, true]]);
    pair.clear();
    pair.cut = false;
    pair.wait(KEEPALIVE);
    assert_eq!(pair.holds(), [[false, true], [true, false]]);
    for group in [GroupId(0), GroupId(1)] {
        let keeper = usize::from(!pair.holds()[0][group.0]);
        // Of the first group node2 sees that node1 has it; of the second node1 hears only that node2 has let go.
        let times = 1 + keeper;
        assert_eq!(did(&pair, keeper, |action| *action == Action::Announce { group }), times);
        assert_eq!(did(&pair, 1 - keeper, |action| *action == Action::Announce { group }), 0);
    }
}
