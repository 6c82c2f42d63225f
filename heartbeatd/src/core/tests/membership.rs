//! Stories about who is there (spec chapter 5, faults of chapter 10).

use super::traces::both_hold_their_own;
use super::*;
use crate::core::Outgoing;

fn sent(bench: &Bench) -> Vec<&Outgoing> {
    let sent = bench.done.iter().filter_map(|action| match action {
        Action::Send(message) => Some(message),
        _ => None,
    });
    sent.collect()
}

/// An old node is up and we have been alone with it for a while.
fn acquainted() -> Bench {
    let mut bench = Bench::new("node1", settings());
    bench.start();
    bench.status(NodeStatus::Init);
    bench.status(NodeStatus::Up);
    bench.done.clear();
    bench
}

#[test]
fn every_tenth_message_is_acknowledged() {
    let mut bench = acquainted();
    (0..40).for_each(|_| bench.status(NodeStatus::Up));
    let acks = sent(&bench).into_iter().filter_map(|message| match &message.body {
        Body::Ack { dest, seq } if dest == "node2" => Some(*seq),
        _ => None,
    });
    let acks: Vec<u64> = acks.collect();
    assert_eq!(acks.len(), 4);
    assert!(acks.windows(2).all(|pair| pair[1] == pair[0] + 10), "{acks:?}");
}

#[test]
fn a_lost_message_is_asked_for_after_50_ms_one_number_at_a_time_until_it_comes() {
    let mut bench = acquainted();
    bench.peer.beats = false;
    bench.peer.seq += 2;
    bench.status(NodeStatus::Up);
    let asked = |bench: &Bench| {
        let asked = sent(bench).into_iter().filter_map(|message| match message.body {
            Body::Rexmit { first, last, .. } => Some((first, last)),
            _ => None,
        });
        asked.collect::<Vec<_>>()
    };
    bench.wait(ms(49));
    assert_eq!(asked(&bench), []);
    bench.wait(ms(201));
    assert_eq!(asked(&bench), [(3, 3), (4, 4)]);
    bench.done.clear();
    bench.peer.seq = 2;
    bench.status(NodeStatus::Up);
    bench.wait(ms(260));
    assert_eq!(asked(&bench), [(4, 4)]);
    bench.says(Body::NakRexmit { dest: "node1".into(), seq: 4, info: "seqno too low".into() });
    assert!(bench.notices().contains(&"Irretrievably lost packet: node node2 seq 4".to_owned()));
}

#[test]
fn what_the_peer_misses_is_sent_again_once_in_a_while_and_refused_when_it_is_gone() {
    let mut bench = acquainted();
    let again = |bench: &Bench| bench.done.iter().filter(|action| matches!(action, Action::Resend { .. })).count();
    let please = |first, last| Body::Rexmit { dest: "node1".into(), first, last };
    bench.says(please(1, 2));
    assert_eq!(again(&bench), 2);
    bench.says(please(1, 2));
    assert_eq!(again(&bench), 2, "not twice within a quarter of a second");
    bench.wait(ms(300));
    bench.says(please(2, 2));
    assert_eq!(again(&bench), 3);
    bench.wait(ms(120_000));
    bench.done.clear();
    bench.says(please(1, 1));
    assert_eq!(again(&bench), 0);
    let refused = |message: &&Outgoing| matches!(&message.body, Body::NakRexmit { seq: 1, .. });
    assert!(sent(&bench).iter().any(refused));
    bench.says(please(1_000_000, 1_000_000));
    assert_eq!(again(&bench), 0);
}

#[test]
fn a_late_heartbeat_is_warned_of_and_the_node_lives() {
    let mut bench = acquainted();
    bench.peer.beats = false;
    bench.wait(ms(900));
    bench.status(NodeStatus::Up);
    let notices = bench.notices();
    assert!(notices.contains(&"Late heartbeat: Node node2: interval 900 ms".to_owned()), "{notices:?}");
    assert!(!notices.iter().any(|notice| notice.contains("dead")), "{notices:?}");
}

#[test]
fn a_node_is_not_declared_dead_for_the_time_that_we_were_not_run() {
    let mut bench = acquainted();
    let nodes = vec!["node1".into(), "node2".into()];
    bench.says(Body::RepNodes { dest: "node1".into(), nodes, deleted: vec![] });
    bench.done.clear();
    bench.now += ms(30_000);
    let actions = bench.node.tick(bench.now);
    bench.take(actions);
    assert!(!bench.notices().iter().any(|notice| notice.contains("node node2: is dead")));
}

#[test]
fn an_unanswered_reqnodes_does_not_keep_us_from_starting() {
    let mut bench = acquainted();
    bench.wait(ms(4_900));
    assert!(!bench.notices().contains(&"Comm_now_up(): updating status to active".to_owned()));
    bench.wait(ms(300));
    assert!(bench.notices().contains(&"Comm_now_up(): updating status to active".to_owned()));
    let asked = sent(&bench).iter().filter(|message| matches!(message.body, Body::ReqNodes { .. })).count();
    assert_eq!(asked, 4, "and it is asked every second");
}

#[test]
fn the_peers_wish_for_its_own_deadtime_counts_within_bounds() {
    for (wish, dies_after) in [(ms(2_000), 2_000), (ms(1_000_000), 33_000), (ms(0), 400)] {
        let mut bench = acquainted();
        let nodes = vec!["node1".into(), "node2".into()];
        bench.says(Body::RepNodes { dest: "node1".into(), nodes, deleted: vec![] });
        bench.says(Body::Status { status: NodeStatus::Active, deadtime: Some(wish), protocol: Some(1) });
        bench.peer.beats = false;
        bench.wait(ms(dies_after - 10));
        assert!(!bench.notices().contains(&"node node2: is dead".to_owned()), "{wish:?}");
        bench.wait(ms(20));
        assert!(bench.notices().contains(&"node node2: is dead".to_owned()), "{wish:?}");
    }
}

#[test]
fn messages_of_an_earlier_life_are_refused_while_the_known_one_goes_on() {
    let mut bench = acquainted();
    bench.peer.generation = 400;
    let (generation, seq) = (bench.peer.generation, bench.peer.seq);
    for _ in 0..20 {
        bench.status(NodeStatus::Active);
    }
    let refused: Vec<String> =
        bench.notices().into_iter().filter(|notice| notice.contains("earlier life refused")).collect();
    assert_eq!(refused.len(), 1, "told once, not twenty times");
    bench.done.clear();
    (bench.peer.generation, bench.peer.seq) = (generation + 100, seq);
    bench.status(NodeStatus::Up);
    assert!(!bench.notices().iter().any(|notice| notice.contains("restart")));
}

#[test]
fn a_node_whose_generation_went_back_is_followed_when_its_known_life_is_over() {
    let mut bench = acquainted();
    bench.peer.beats = false;
    bench.wait(ms(4_000));
    assert!(bench.notices().contains(&"node node2: is dead".to_owned()));
    bench.done.clear();
    bench.peer.generation = 400;
    bench.peer.seq = 0;
    bench.peer.beats = true;
    bench.wait(ms(1_000));
    let notices = bench.notices();
    assert!(notices.iter().any(|notice| notice.contains("lives under generation 400 after 500")), "{notices:?}");
    assert!(notices.contains(&"Status update for node node2: status up".to_owned()), "{notices:?}");
}

#[test]
fn another_heartbeatd_proves_that_its_earlier_life_is_now() {
    let mut bench = acquainted();
    bench.peer.beats = false;
    bench.wait(ms(4_000));
    bench.peer.generation = 400;
    bench.peer.seq = 0;
    // A recording echoes what we said long ago.
    bench.peer.word = Some(Word { heard: Some((bench.node.life(), 3)), ..Word::default() });
    bench.peer.beats = true;
    bench.wait(ms(1_000));
    assert!(!bench.notices().iter().any(|notice| notice.contains("lives under")));
    for _ in 0..4 {
        // It has heard what we said a moment ago.
        let highest = sent(&bench).iter().rev().find_map(|message| message.seq).unwrap_or(0);
        bench.peer.word = Some(Word { heard: Some((bench.node.life(), highest)), ..Word::default() });
        bench.wait(KEEPALIVE);
    }
    assert!(bench.notices().iter().any(|notice| notice.contains("lives under generation 400")));
}

#[test]
fn a_copied_uuid_is_refused_with_a_clear_word() {
    let mut bench = acquainted();
    bench.peer.uuid = Uuid([1; 16]);
    bench.status(NodeStatus::Up);
    assert!(bench.notices().iter().any(|notice| notice.starts_with("node2 has the same UUID as this node")));
}

#[test]
fn a_stranger_is_named_once_a_minute() {
    let mut bench = acquainted();
    bench.peer.name = "stranger";
    bench.peer.uuid = Uuid([9; 16]);
    (0..100).for_each(|_| bench.status(NodeStatus::Up));
    let named = bench.notices().into_iter().filter(|notice| notice.starts_with("bad node [stranger]")).count();
    assert_eq!(named, 1);
}

#[test]
fn our_own_broadcast_that_comes_back_is_nobodys_message() {
    let mut bench = acquainted();
    let own = Header { src: "node1".into(), srcuuid: Some(Uuid([1; 16])), generation: 100, ..bench.header(Some(2)) };
    let status = Body::Status { status: NodeStatus::Up, deadtime: None, protocol: Some(1) };
    bench.hears(&Heard { header: own.clone(), body: status.clone(), word: None, strong: true });
    assert_eq!(bench.done, []);
    bench.hears(&Heard { header: Header { seq: Some(5_000), ..own }, body: status, word: None, strong: true });
    assert!(bench.notices().iter().any(|notice| notice.starts_with("another machine sends as node1")));
}

#[test]
fn a_message_for_somebody_else_counts_in_the_order_and_does_nothing() {
    let mut bench = acquainted();
    bench.peer.seq += 1;
    let header = Header { dest: Some("node3".into()), ..bench.header(Some(bench.peer.seq)) };
    bench.hears(&Heard { header, body: Body::ReqNodes { dest: "node3".into() }, word: None, strong: true });
    assert_eq!(sent(&bench).iter().filter(|message| matches!(message.body, Body::RepNodes { .. })).count(), 0);
    bench.status(NodeStatus::Up);
    assert!(!bench.notices().iter().any(|notice| notice.contains("lost packet")));
}

#[test]
fn a_peer_cannot_take_nodes_out_of_our_list() {
    let mut bench = acquainted();
    bench.says(Body::RepNodes { dest: "node1".into(), nodes: vec!["node2".into()], deleted: vec![] });
    assert!(bench.notices().iter().any(|notice| notice.starts_with("node lists differ")));
    bench.done.clear();
    bench.says(Body::ReqNodes { dest: "node1".into() });
    assert!(bench.said().contains(&"repnodes node2 [node1 node2]".to_owned()));
}

#[test]
fn an_account_that_comes_after_a_later_one_is_not_the_last_word() {
    let mut bench = both_hold_their_own("node1");
    // It takes everything; the first message of that is lost, and sent again when the last has come.
    bench.peer.seq += 1;
    let lost = bench.peer.seq;
    bench.resource(Hold::All, true, None);
    let stable = |bench: &Bench| bench.node.report().stable;
    assert!(stable(&bench));
    let late = Body::Resource { hold: Hold::Local, full: true, stable: Some(false), info: Some("standby".into()) };
    bench.hears(&Heard { header: bench.header(Some(lost)), body: late.clone(), word: None, strong: true });
    assert!(stable(&bench));
    bench.says(late);
    assert!(!stable(&bench), "what is said now counts");
}

#[test]
fn in_place_of_an_account_that_was_lost_the_present_one_is_sent() {
    let mut bench = both_hold_their_own("node1");
    bench.done.clear();
    bench.happens(Event::Standby { which: Which::All, ticket: Ticket(1) });
    bench.ask(Hold::All, Phase::Other);
    bench.wait(ms(100));
    bench.ask(Hold::All, Phase::Done);
    bench.wait(ms(100));
    let accounts = |bench: &Bench| -> Vec<u64> {
        let sent = bench.done.iter().filter_map(|action| match action {
            Action::Send(message) => matches!(message.body, Body::Resource { full: true, .. }).then_some(message.seq?),
            _ => None,
        });
        sent.collect()
    };
    let [first, .., last] = accounts(&bench)[..] else { panic!("{:?}", bench.said()) };
    let asked_for = |bench: &mut Bench, seq| {
        bench.done.clear();
        bench.says(Body::Rexmit { dest: "node1".into(), first: seq, last: seq });
        bench.done.clone()
    };
    assert_eq!(asked_for(&mut bench, last), [Action::Resend { seq: last }]);
    let [Action::SendInstead(message)] = &asked_for(&mut bench, first)[..] else { panic!("{:?}", bench.done) };
    let Body::Resource { hold: Hold::None, stable: Some(true), .. } = message.body else { panic!("{message:?}") };
    assert_eq!(message.seq, Some(first));
}

#[test]
fn a_node_without_any_open_medium_declares_nobody_dead_and_says_so() {
    let mut bench = Bench::new("node1", settings());
    bench.peer.beats = false;
    bench.happens(Event::Ready(true));
    bench.happens(Event::Listening(false));
    let actions = bench.node.start(bench.now);
    bench.take(actions);
    assert_eq!(bench.worst(), Some((Level::Crit, &Notice::Deaf)));
    bench.wait(ms(3_100));
    let told = |bench: &Bench| bench.done.iter().filter(|action| **action == Action::Notice(Notice::Deaf)).count();
    assert_eq!(told(&bench), 2, "again when initdead would have been over");
    bench.wait(ms(120_000));
    assert_eq!(told(&bench), 4, "and once a minute from then on");
    assert!(bench.node.report().deaf);
    assert_eq!((bench.holds(), bench.node.report().nodes[1].status.as_str()), ([false, false], "init"));
    // From here on silence means something.
    bench.happens(Event::Listening(true));
    bench.wait(ms(2_900));
    assert_eq!(bench.holds(), [false, false]);
    bench.wait(ms(200));
    assert!(!bench.node.report().deaf);
    assert_eq!(bench.holds(), [true, true]);
}
