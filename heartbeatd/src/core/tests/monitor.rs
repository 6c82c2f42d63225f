//! Something that was started does not run any more (fault 10).

use super::stories::Pair;
use super::traces::each_holds_its_own;
use super::*;
use crate::core::Why;

const GROUP: GroupId = GroupId(0);

fn fails() -> Event {
    Event::Failed { group: GROUP, resource: "Thing".into() }
}

fn count(pair: &Pair, node: usize, which: impl Fn(&Action) -> bool) -> usize {
    pair.done[node].iter().filter(|action| which(action)).count()
}

fn takes(pair: &Pair, node: usize) -> usize {
    count(pair, node, |action| matches!(action, Action::Acquire { group: GROUP, .. }))
}

#[test]
fn fault_10_a_group_of_which_something_does_not_run_any_more_goes_to_the_other_node_and_stays_there() {
    let mut pair = Pair::running(settings());
    pair.happens(0, fails());
    pair.wait(ms(100));
    assert_eq!(pair.holds(), [[false, false], [true, true]]);
    assert!(pair.has_done(0, &Action::Release { group: GROUP, why: Why::Failed }));
    let key = settings().plan.get(GROUP).unwrap().key.clone();
    let notice = Notice::Failed { group: key, resource: "Thing".into() };
    assert_eq!(notice.level(), Level::Crit);
    assert!(pair.has_done(0, &Action::Notice(notice)));
    // With auto_failback too, before an administrator has looked.
    pair.wait(ms(60_000));
    assert_eq!(pair.holds(), [[false, false], [true, true]]);
    pair.happens(0, Event::Takeover { which: Which::Group(GROUP), ticket: Ticket(1) });
    pair.wait(ms(100));
    assert_eq!(pair.holds(), [[true, false], [false, true]]);
}

#[test]
fn where_nobody_else_could_take_it_it_is_started_anew_at_once() {
    let mut alone = Pair::running(settings());
    alone.cut = true;
    alone.wait(ms(2_000));
    alone.clear();
    alone.happens(0, fails());
    alone.wait(ms(1));
    assert_eq!((takes(&alone, 0), alone.holds()[0]), (1, [true, true]));
    for unfit in [Event::Maintenance(true), Event::Ready(false)] {
        let mut pair = Pair::running(settings());
        pair.happens(1, unfit);
        pair.wait(ms(100));
        pair.clear();
        pair.happens(0, fails());
        pair.wait(ms(300));
        assert_eq!((takes(&pair, 0), takes(&pair, 1)), (1, 0));
    }
}

#[test]
fn what_could_not_be_taken_again_is_not_let_go_before_it_is_known_who_is_off() {
    let mut pair = Pair::running(Settings { fences: true, ..settings() });
    pair.cut = true;
    pair.wait(DEADTIME + ms(300));
    pair.happens(0, fails());
    pair.wait(ms(1_000));
    assert!(pair.holds()[0][0], "the rest of it goes on serving");
    let attempt = pair.done[0].iter().find_map(|action| match action {
        Action::Fence { attempt, .. } => Some(*attempt),
        _ => None,
    });
    pair.happens(0, Event::Fenced { attempt: attempt.expect("it is fenced"), ok: true });
    pair.clear();
    // The script is asked again.
    pair.happens(0, fails());
    pair.wait(ms(1));
    assert_eq!((takes(&pair, 0), pair.holds()[0]), (1, [true, true]));
}

#[test]
fn of_two_groups_that_an_old_heartbeat_takes_together_or_not_at_all_one_is_started_anew() {
    let plan = ["192.168.77.50/24/lan0", "LogRsc::c"].map(|key| Group {
        key: key.into(),
        home: "node1".into(),
        overlaps: true,
        addressed: true,
        then: Vec::new(),
    });
    let both = Settings { plan: Plan::new(plan.into()).unwrap(), ..settings() };
    let mut bench = each_holds_its_own("node1", both);
    assert_eq!(bench.holds(), [true, true]);
    bench.done.clear();
    bench.happens(fails());
    let again = |action: &Action| matches!(action, Action::Acquire { group: GROUP, .. });
    assert!(bench.done.iter().any(again), "{:?}", bench.done);
    assert_eq!(bench.holds(), [true, true]);
}

#[test]
fn in_maintenance_it_is_only_told() {
    let mut pair = Pair::running(settings());
    pair.happens(0, Event::Maintenance(true));
    pair.clear();
    pair.happens(0, fails());
    pair.wait(ms(1_000));
    pair.happens(0, fails());
    assert_eq!(pair.holds(), [[true, false], [false, true]]);
    assert_eq!(count(&pair, 0, |action| matches!(action, Action::Notice(Notice::Failed { .. }))), 1, "once");
    pair.happens(0, Event::Maintenance(false));
    pair.happens(0, fails());
    pair.wait(ms(100));
    assert_eq!(pair.holds(), [[false, false], [true, true]], "and seen to afterwards");
}

#[test]
fn of_three_nodes_another_one_takes_it() {
    let mut three = Pair::new(Settings { nodes: ["node1", "node2", "node3"].map(str::to_owned).into(), ..settings() });
    for node in 0..2 {
        three.happens(node, Event::Ready(true));
        three.start(node);
    }
    three.wait(ms(4_000));
    assert_eq!(three.holds(), [[true, false], [false, true]]);
    three.happens(0, fails());
    three.wait(ms(300));
    assert_eq!(three.holds(), [[false, false], [true, true]]);
}
