//! Faults of heartbeat 3.0.6 (spec/heartbeat.md 10) that no other story keeps away; each by its number.

use super::stories::Pair;
use super::traces::both_hold_their_own;
use super::*;

/// Alone, the other node given up, and nothing started yet of what is to be.
fn alone_and_busy() -> Bench {
    let mut bench = Bench::new("node1", settings());
    bench.peer.beats = false;
    bench.works = false;
    bench.happens(Event::Ready(true));
    bench.start();
    bench.wait(ms(3_100));
    bench
}

fn holder(bench: &Bench, group: usize) -> Option<String> {
    bench.node.report().groups[group].holder.clone()
}

#[test]
fn fault_2_what_is_told_is_what_runs_and_not_what_was_meant() {
    let mut bench = alone_and_busy();
    assert_eq!((holder(&bench, 0), holder(&bench, 1)), (None, None), "ordered, not done");
    assert_eq!(bench.node.report().holds, "transition");
    bench.happens(Event::Acquired { group: GroupId(0), ok: true });
    bench.happens(Event::Acquired { group: GroupId(1), ok: false });
    assert_eq!((holder(&bench, 0).as_deref(), holder(&bench, 1)), (Some("node1"), None));
    assert!(bench.node.report().groups[1].failed.is_some());
}

#[test]
fn fault_4_a_group_that_cannot_be_started_at_home_runs_on_the_other_node() {
    let mut pair = Pair::new(settings());
    pair.works = false;
    for node in 0..2 {
        pair.happens(node, Event::Ready(true));
        pair.start(node);
    }
    pair.wait(ms(100));
    pair.happens(0, Event::Acquired { group: GroupId(0), ok: false });
    pair.happens(1, Event::Acquired { group: GroupId(1), ok: true });
    pair.wait(ms(100));
    let taken = pair.done[1].iter().any(|action| matches!(action, Action::Acquire { group: GroupId(0), .. }));
    assert!(taken, "the other node does not try it");
    pair.happens(1, Event::Acquired { group: GroupId(0), ok: true });
    pair.wait(ms(30_000));
    assert_eq!(pair.holds(), [[false, false], [true, true]], "and it stays where it works");
}

#[test]
fn fault_7_a_simultaneous_start_is_over_within_a_second_and_a_healed_partition_within_a_keepalive() {
    let mut pair = Pair::new(settings());
    for node in 0..2 {
        pair.happens(node, Event::Ready(true));
        pair.start(node);
    }
    pair.wait(ms(1_000));
    assert_eq!(pair.holds(), [[true, false], [false, true]]);
    pair.cut = true;
    pair.wait(ms(5_000));
    assert_eq!(pair.holds(), [[true, true], [true, true]]);
    pair.clear();
    pair.works = false;
    pair.cut = false;
    pair.wait(KEEPALIVE);
    // The loser of each group lets go, and the other one never does: at no moment has nobody a group.
    for group in [GroupId(0), GroupId(1)] {
        let lets_go = |node: usize| {
            pair.done[node].iter().any(|action| matches!(action, Action::Release { group: at, .. } if *at == group))
        };
        assert!(lets_go(0) != lets_go(1), "group {group:?} has one loser");
    }
}

#[test]
fn fault_8_a_takeover_without_fencing_is_warned_of() {
    let mut bench = both_hold_their_own("node1");
    bench.peer.beats = false;
    bench.done.clear();
    bench.wait(DEADTIME + KEEPALIVE);
    let warned = |action: &Action| matches!(action, Action::Notice(notice @ Notice::NotFenced { .. }) if notice.level() >= Level::Warn);
    assert!(bench.done.iter().any(warned), "{:?}", bench.notices());
}

#[test]
fn fault_15_what_is_asked_is_answered_in_the_same_turn() {
    let mut bench = Bench::new("node1", settings());
    bench.happens(Event::Ready(true));
    bench.start();
    bench.status(NodeStatus::Up);
    bench.said();
    bench.says(Body::ReqNodes { dest: "node1".into() });
    assert_eq!(bench.said(), ["repnodes node2 [node1 node2]"]);
    bench.says(Body::RepNodes { dest: "node1".into(), nodes: vec!["node1".into(), "node2".into()], deleted: vec![] });
    assert_eq!(bench.said(), ["starting"]);
    bench.says(Body::Starting);
    assert_eq!(bench.said(), ["R(none,0)"]);
}

#[test]
fn fault_17_a_peer_that_stops_makes_each_script_run_once() {
    let mut bench = both_hold_their_own("node1");
    bench.done.clear();
    bench.works = false;
    // Three things that each make the original run its scripts: what the peer gives up, its leaving, its death.
    bench.resource(Hold::None, false, Some("shutdown"));
    bench.says(Body::Shutdone);
    bench.peer.beats = false;
    bench.wait(DEADTIME * 2);
    let starts = |group| {
        let is_start = |action: &&Action| matches!(action, Action::Acquire { group: at, .. } if at.0 == group);
        bench.done.iter().filter(is_start).count()
    };
    assert_eq!((starts(0), starts(1)), (0, 1), "{:?}", bench.notices());
}

#[test]
fn fault_18_a_recording_does_not_keep_a_dead_node_alive_after_our_own_restart() {
    let mut bench = Bench::new("node1", settings());
    bench.happens(Event::Ready(true));
    bench.start();
    // Once it answered what an earlier life of ours had said; it is dead, and its statuses are sent again.
    bench.peer.word = Some(Word { active: true, ready: true, life: 7, heard: Some((4711, 90)), ..Word::default() });
    bench.status(NodeStatus::Active);
    bench.wait(ms(3_000) + DEADTIME + KEEPALIVE * 2 + ms(1_200));
    assert_eq!(bench.holds(), [true, true]);
    assert!(bench.notices().iter().any(|notice| notice.contains("it is a recording")), "{:?}", bench.notices());
}

#[test]
fn fault_18_what_another_heartbeatd_says_must_be_signed_with_hmac_sha_256() {
    let mut bench = Bench::new("node1", settings());
    bench.start();
    bench.peer.word = Some(Word { active: true, ready: true, life: 7, ..Word::default() });
    bench.status(NodeStatus::Active);
    bench.peer.seq += 1;
    let header = bench.header(Some(bench.peer.seq));
    bench.done.clear();
    bench.hears(&Heard { header, body: Body::Shutdone, word: None, strong: false });
    assert!(!bench.notices().iter().any(|notice| notice.starts_with("Received shutdown notice")));
    assert!(bench.notices().iter().any(|notice| notice.contains("HMAC-SHA-256")), "{:?}", bench.notices());
    // Put back to an old heartbeat, it lives another life.
    bench.peer.generation += 1;
    bench.peer.seq = 1;
    let header = bench.header(Some(1));
    let body = Body::Status { status: NodeStatus::Init, deadtime: Some(DEADTIME), protocol: Some(1) };
    bench.hears(&Heard { header, body, word: None, strong: false });
    assert!(bench.notices().iter().any(|notice| notice.contains("is heartbeat 3.0.6")), "{:?}", bench.notices());
}

#[test]
fn fault_11_files_that_differ_are_told_and_named() {
    let mut bench = Bench::new("node1", settings());
    bench.start();
    let files = Files { haresources: 9, ..settings().files };
    bench.peer.word = Some(Word { active: true, ready: true, files, ..Word::default() });
    bench.status(NodeStatus::Active);
    bench.status(NodeStatus::Active);
    let told =
        bench.notices().into_iter().filter(|notice| notice.starts_with("haresources on node2 differs from ours: copy"));
    assert_eq!(told.count(), 1);
    assert_eq!(bench.node.report().nodes[1].differs, ["haresources"]);
    bench.happens(Event::FilesRead(files));
    assert!(bench.node.report().nodes[1].differs.is_empty());
}
