//! A group that cannot be stopped where it runs (fault 24).

use super::stories::Pair;
use super::traces::both_hold_their_own;
use super::*;
use crate::core::Why;

const GROUP: GroupId = GroupId(0);

/// Groups that must not run twice.
fn cold() -> Settings {
    let groups = settings().plan.iter().map(|(_, group)| Group { overlaps: false, ..group.clone() }).collect();
    Settings { plan: Plan::new(groups).unwrap(), ..settings() }
}

/// Group 0 was to be given by node 1, and cannot be stopped.
fn stuck(settings: Settings) -> Pair {
    let mut pair = Pair::running(settings);
    pair.works = false;
    pair.happens(0, Event::Standby { which: Which::Local, ticket: Ticket(1) });
    assert!(pair.has_done(0, &Action::Release { group: GROUP, why: Why::Standby }));
    pair.happens(0, Event::Stuck { group: GROUP });
    pair
}

fn takes(pair: &Pair, node: usize) -> bool {
    pair.done[node].iter().any(|action| matches!(action, Action::Acquire { group: GROUP, .. }))
}

fn stops_again(pair: &Pair) -> usize {
    let again = Action::Release { group: GROUP, why: Why::Stuck };
    pair.done[0].iter().filter(|action| **action == again).count()
}

fn is_told(pair: &Pair, node: usize, notice: &Notice) -> bool {
    pair.has_done(node, &Action::Notice(notice.clone()))
}

#[test]
fn fault_24_what_cannot_be_stopped_is_given_to_nobody_before_it_has_been() {
    let mut pair = stuck(cold());
    assert_eq!(pair.answer(0), Some(Err(Refusal::Stuck)), "the switch fails with its reason");
    let key = settings().plan.get(GROUP).unwrap().key.clone();
    let told = [
        Notice::Stuck { group: key.clone(), again_s: 10 },
        Notice::PeerStuck { group: key.clone(), node: "node1".into() },
    ];
    for (node, notice) in told.iter().enumerate() {
        assert_eq!(notice.level(), Level::Crit);
        assert!(is_told(&pair, node, notice), "{notice}");
        assert_eq!(pair.nodes[node].report().groups[0].stuck.as_deref(), Some("node1"));
        assert_eq!(pair.nodes[node].report().groups[0].holder, None);
    }
    pair.wait(ms(9_000));
    pair.happens(1, Event::Takeover { which: Which::Group(GROUP), ticket: Ticket(2) });
    assert_eq!(pair.answer(1), Some(Err(Refusal::PeerStuck)));
    pair.happens(0, Event::Takeover { which: Which::Group(GROUP), ticket: Ticket(3) });
    assert!(!takes(&pair, 0) && !takes(&pair, 1));
    assert_eq!(stops_again(&pair), 0);
    pair.wait(ms(1_500));
    assert_eq!(stops_again(&pair), 1, "it is tried again");
    pair.happens(0, Event::Released { group: GROUP, ok: true });
    pair.wait(ms(100));
    assert!(takes(&pair, 1) && is_told(&pair, 0, &Notice::Unstuck { group: key }));
    assert_eq!(pair.nodes[1].report().groups[0].stuck, None);
}

#[test]
fn stops_are_tried_again_less_and_less_often_and_at_once_when_an_administrator_asks() {
    let mut pair = stuck(cold());
    let mut pauses = Vec::new();
    for _ in 0..7 {
        pair.clear();
        let mut seconds = 0;
        while stops_again(&pair) == 0 {
            pair.wait(ms(1_000));
            seconds += 1;
        }
        pauses.push(seconds);
        pair.happens(0, Event::Stuck { group: GROUP });
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300]);
    pair.clear();
    pair.happens(0, Event::Standby { which: Which::Local, ticket: Ticket(4) });
    assert_eq!((stops_again(&pair), pair.answer(0)), (1, None));
    pair.happens(0, Event::Stuck { group: GROUP });
    assert_eq!(pair.answer(0), Some(Err(Refusal::Stuck)));
}

#[test]
fn a_start_that_cannot_be_undone_is_not_tried_on_the_other_node() {
    let mut pair = Pair::new(cold());
    pair.works = false;
    for node in 0..2 {
        pair.happens(node, Event::Ready(true));
        pair.start(node);
    }
    pair.wait(ms(100));
    pair.happens(0, Event::Stuck { group: GROUP });
    pair.wait(ms(9_000));
    assert!(!takes(&pair, 1));
    assert!(pair.nodes[0].report().groups[0].failed.is_some());
    pair.wait(ms(2_000));
    pair.happens(0, Event::Released { group: GROUP, ok: true });
    pair.wait(ms(100));
    assert!(takes(&pair, 1));
}

#[test]
fn what_an_earlier_life_has_left_is_waited_for_by_both_nodes() {
    let mut pair = Pair::new(cold());
    pair.happens(0, Event::Stopping { group: GROUP });
    for node in 0..2 {
        pair.happens(node, Event::Ready(true));
        pair.start(node);
    }
    pair.wait(ms(20_000));
    assert_eq!(pair.holds(), [[false, false], [false, true]]);
    pair.happens(0, Event::Released { group: GROUP, ok: true });
    pair.wait(ms(100));
    assert_eq!(pair.holds(), [[true, false], [false, true]]);
}

#[test]
fn a_node_does_not_leave_before_it_has_stopped_what_it_can_be_held_by() {
    let mut pair = Pair::running(cold());
    pair.works = false;
    pair.happens(0, Event::Stop);
    pair.happens(0, Event::Stuck { group: GROUP });
    pair.wait(ms(9_000));
    let says = |pair: &Pair| {
        let said = |action: &Action| matches!(action, Action::Send(message) if message.body == Body::Shutdone);
        pair.done[0].iter().any(said)
    };
    assert!(!says(&pair) && !takes(&pair, 1));
    pair.wait(ms(2_000));
    pair.happens(0, Event::Released { group: GROUP, ok: true });
    assert!(says(&pair));
    pair.wait(ms(100));
    assert!(takes(&pair, 1));
}

#[test]
fn the_death_of_a_node_ends_what_was_stuck_on_it() {
    let mut pair = stuck(cold());
    pair.cut = true;
    pair.wait(DEADTIME + ms(100));
    assert!(takes(&pair, 1));
}

fn reboots(pair: &Pair) -> usize {
    pair.done[0].iter().filter(|action| matches!(action, Action::Reboot { .. })).count()
}

#[test]
fn a_machine_reboots_only_if_it_is_to_and_somebody_takes_over() {
    assert_eq!(reboots(&stuck(cold())), 0);
    let rebooting = Settings { stop_failure: StopFailure::Reboot, ..cold() };
    let mut pair = stuck(rebooting.clone());
    assert_eq!(reboots(&pair), 1);
    // It is still there: it had not the privilege.
    pair.wait(ms(11_000));
    pair.happens(0, Event::Stuck { group: GROUP });
    assert_eq!(reboots(&pair), 2);
    let mut alone = Pair::running(rebooting.clone());
    alone.cut = true;
    alone.wait(ms(2_000));
    alone.works = false;
    alone.happens(0, Event::Stop);
    alone.happens(0, Event::Stuck { group: GROUP });
    assert_eq!(reboots(&alone), 0);
    let mut maintained = Pair::running(rebooting);
    maintained.happens(0, Event::Maintenance(true));
    maintained.works = false;
    maintained.happens(0, Event::Standby { which: Which::Local, ticket: Ticket(1) });
    maintained.happens(0, Event::Stuck { group: GROUP });
    assert_eq!(reboots(&maintained), 0);
}

#[test]
fn a_node_that_is_to_be_fenced_falls_silent_until_it_is_or_has_stopped_everything() {
    let mut pair = stuck(Settings { stop_failure: StopFailure::Fence, fences: true, ..cold() });
    pair.clear();
    pair.wait(DEADTIME + ms(300));
    let sent = |action: &Action| matches!(action, Action::Send(_));
    assert!(!pair.done[0].iter().any(sent), "it says nothing");
    let fences = |action: &Action| matches!(action, Action::Fence { node, .. } if node == "node1");
    assert!(pair.done[1].iter().any(fences) && !takes(&pair, 1), "and nothing is taken before it is off");
    pair.wait(ms(10_000));
    assert_eq!(stops_again(&pair), 1);
    pair.happens(0, Event::Released { group: GROUP, ok: true });
    pair.wait(ms(1_000));
    assert!(pair.done[0].iter().any(sent), "it begins a new life");
}

#[test]
fn a_node_does_not_fall_silent_where_nobody_could_fence_it() {
    let fencing = Settings { stop_failure: StopFailure::Fence, fences: true, ..cold() };
    let mut pair = Pair::differing([fencing, cold()]);
    for node in 0..2 {
        pair.happens(node, Event::Ready(true));
        pair.start(node);
    }
    pair.wait(ms(2_000));
    pair.works = false;
    pair.happens(0, Event::Standby { which: Which::Local, ticket: Ticket(1) });
    pair.happens(0, Event::Stuck { group: GROUP });
    let key = settings().plan.get(GROUP).unwrap().key.clone();
    assert!(is_told(&pair, 0, &Notice::StuckUnfenced { group: key }));
    pair.clear();
    pair.wait(DEADTIME * 2);
    assert!(pair.done[0].iter().any(|action| matches!(action, Action::Send(_))), "it goes on saying that it is stuck");
}

#[test]
fn an_administrator_who_wants_it_away_has_the_stop_tried_again_even_if_nobody_could_take_it() {
    let mut pair = stuck(cold());
    pair.happens(1, Event::Maintenance(true));
    pair.wait(ms(100));
    pair.clear();
    pair.happens(0, Event::Standby { which: Which::Local, ticket: Ticket(5) });
    assert_eq!((stops_again(&pair), pair.answer(0)), (1, Some(Err(Refusal::PeerMaintained))));
}

#[test]
fn a_node_that_was_not_run_and_is_stopped_stays_for_what_is_stuck() {
    let mut pair = stuck(cold());
    pair.sleep(DEADTIME * 3);
    pair.happens(0, Event::Stop);
    pair.wait(ms(100));
    pair.happens(1, Event::Released { group: GroupId(1), ok: true });
    pair.wait(ms(8_000));
    let ended = |pair: &Pair| pair.has_done(0, &Action::Stopped);
    assert!(!ended(&pair) && !takes(&pair, 1), "the other node is still told that it is stuck here");
    pair.wait(ms(60_000));
    pair.happens(0, Event::Released { group: GROUP, ok: true });
    pair.wait(ms(3_000));
    assert!(ended(&pair) && takes(&pair, 1));
}

#[test]
fn a_new_life_tells_what_was_stuck_in_the_one_before() {
    let mut pair = stuck(cold());
    pair.wait(DEADTIME);
    // Not run for longer than deadtime.
    let late = pair.nodes[0].deadline() + DEADTIME * 3;
    let actions = pair.nodes[0].tick(late);
    assert!(actions.contains(&Action::Notice(Notice::Restarting)), "{actions:?}");
    let word = actions.iter().find_map(|action| match action {
        Action::Send(message) => message.word.clone(),
        _ => None,
    });
    assert_eq!(word.map(|word| word.groups[0].state), Some(State::Stuck));
}

/// The other node is heartbeat 3.0.6 and has agreed to take everything; group 0 cannot be stopped.
fn given_to_an_old_one() -> Bench {
    let mut bench = both_hold_their_own("node1");
    bench.works = false;
    bench.happens(Event::Standby { which: Which::All, ticket: Ticket(1) });
    bench.ask(Hold::All, Phase::Other);
    assert_eq!(bench.said(), ["ask all me", "R(none,0) standby"]);
    bench.happens(Event::Stuck { group: GROUP });
    bench
}

#[test]
fn an_old_heartbeat_is_told_that_it_is_held_here_and_not_to_go_on() {
    let mut bench = given_to_an_old_one();
    let refused = |action: &Action| matches!(action, Action::Answer { result: Err(Refusal::Stuck), .. });
    assert!(bench.done.iter().any(refused));
    assert_eq!(bench.said(), ["R(local,0)"]);
    bench.wait(ms(9_000));
    assert_eq!(bench.said(), [""; 0]);
    bench.wait(ms(2_000));
    bench.happens(Event::Released { group: GROUP, ok: true });
    assert_eq!(bench.said(), ["R(none,0) standby", "ask all done"]);
}

#[test]
fn an_old_heartbeat_that_has_waited_for_an_hour_is_told_that_nothing_was_given() {
    let mut bench = given_to_an_old_one();
    bench.wait(ms(3_600_000));
    assert_eq!(bench.said().last().map(String::as_str), Some("R(local,1)"));
    bench.happens(Event::Takeover { which: Which::Local, ticket: Ticket(2) });
    let refused = |action: &Action| matches!(action, Action::Answer { result: Err(Refusal::Stuck), .. });
    assert!(bench.done.iter().any(refused));
    bench.done.clear();
    bench.happens(Event::Released { group: GROUP, ok: true });
    let acquires = |action: &Action| matches!(action, Action::Acquire { group: GROUP, .. });
    assert!(bench.done.iter().any(acquires), "what is held here is started here");
}

#[test]
fn an_old_heartbeat_hears_of_no_shutdown_before_everything_has_been_stopped() {
    let mut bench = both_hold_their_own("node1");
    bench.works = false;
    bench.happens(Event::Stop);
    bench.happens(Event::Stuck { group: GROUP });
    assert_eq!(bench.said(), ["R(none,0) shutdown", "R(local,0)"]);
    bench.wait(ms(11_000));
    assert_eq!(bench.said(), [""; 0]);
    bench.happens(Event::Released { group: GROUP, ok: true });
    assert_eq!(bench.said(), ["R(none,0) shutdown", "shutdone"]);
}

#[test]
fn an_old_heartbeat_is_not_told_that_nothing_is_here_when_what_is_stuck_already_keeps_a_node_that_stops() {
    let mut bench = given_to_an_old_one();
    bench.said();
    bench.wait(ms(3_600_000));
    bench.said();
    bench.happens(Event::Stop);
    assert_eq!(bench.said(), ["R(local,0)"]);
    bench.happens(Event::Released { group: GROUP, ok: true });
    assert_eq!(bench.said(), ["R(none,0) shutdown", "shutdone"]);
}

#[test]
fn a_node_that_stops_ends_in_the_life_after_a_pause_beside_an_old_heartbeat_too() {
    let mut bench = both_hold_their_own("node1");
    bench.works = false;
    bench.happens(Event::Stop);
    bench.happens(Event::Stuck { group: GROUP });
    bench.now += DEADTIME * 3;
    bench.status(NodeStatus::Active);
    assert!(bench.done.contains(&Action::Notice(Notice::Restarting)));
    bench.status(NodeStatus::Active);
    let nodes = vec!["node1".into(), "node2".into()];
    bench.says(Body::RepNodes { dest: "node1".into(), nodes, deleted: vec![] });
    bench.wait(ms(100));
    bench.happens(Event::Released { group: GROUP, ok: true });
    bench.wait(ms(5_000));
    assert!(bench.done.contains(&Action::Stopped), "{:?}", bench.said());
}

#[test]
fn of_three_nodes_none_takes_what_is_stuck_on_another() {
    let three = Settings { nodes: ["node1", "node2", "node3"].map(str::to_owned).into(), ..cold() };
    let mut pair = Pair::new(three);
    for node in 0..2 {
        pair.happens(node, Event::Ready(true));
        pair.start(node);
    }
    pair.wait(ms(4_000));
    pair.clear();
    pair.works = false;
    pair.happens(0, Event::Standby { which: Which::Local, ticket: Ticket(1) });
    pair.happens(0, Event::Stuck { group: GROUP });
    assert_eq!(pair.answer(0), Some(Err(Refusal::Stuck)));
    pair.wait(ms(9_000));
    pair.happens(1, Event::Takeover { which: Which::Group(GROUP), ticket: Ticket(2) });
    assert_eq!(pair.answer(1), Some(Err(Refusal::PeerStuck)));
    assert!(!takes(&pair, 1));
    assert_eq!(pair.nodes[1].report().groups[0].stuck.as_deref(), Some("node1"));
    pair.wait(ms(2_000));
    assert_eq!(stops_again(&pair), 1);
    pair.happens(0, Event::Released { group: GROUP, ok: true });
    pair.wait(ms(100));
    assert!(takes(&pair, 1));
}
