//! Something that was started does not run any more (fault 10).

use super::stories::Pair;
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
    let mut other_maintained = Pair::running(settings());
    other_maintained.happens(1, Event::Maintenance(true));
    other_maintained.wait(ms(100));
    other_maintained.clear();
    other_maintained.happens(0, fails());
    other_maintained.wait(ms(300));
    assert_eq!((takes(&other_maintained, 0), takes(&other_maintained, 1)), (1, 0));
}

#[test]
fn in_maintenance_it_is_only_told() {
    let mut pair = Pair::running(settings());
    pair.happens(0, Event::Maintenance(true));
    pair.clear();
    pair.happens(0, fails());
    pair.wait(ms(1_000));
    assert_eq!(pair.holds(), [[true, false], [false, true]]);
    assert_eq!(count(&pair, 0, |action| matches!(action, Action::Notice(Notice::Failed { .. }))), 1);
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
