//! The captured traces of spec appendix B: the test says what the real heartbeat 3.0.6 said,
//! and our answers must be what the real one on our side answered, in that order.

use super::*;
use crate::core::{Ticket, Which, Why};

/// B.1 up to communication up, both starting together; we are `me`.
fn started_together(me: &'static str) -> Bench {
    started_with(me, settings())
}

fn started_with(me: &'static str, settings: Settings) -> Bench {
    let mut bench = Bench::new(me, settings);
    bench.start();
    assert_eq!(bench.said_all(), ["status init", "status up"]);
    bench.happens(Event::Ready(true));
    bench.status(NodeStatus::Init);
    bench.status(NodeStatus::Up);
    assert_eq!(bench.said(), [format!("reqnodes {}", bench.peer.name)]);
    let (peer, me) = (bench.peer.name.to_owned(), me.to_owned());
    bench.says(Body::ReqNodes { dest: me.clone() });
    assert_eq!(bench.said(), [format!("repnodes {peer} [node1 node2]")]);
    bench.says(Body::RepNodes { dest: me, nodes: vec!["node1".into(), "node2".into()], deleted: vec![] });
    assert_eq!(bench.said_all(), ["status active", "starting"]);
    bench
}

/// The same up to each holding its own.
pub(super) fn both_hold_their_own(me: &'static str) -> Bench {
    each_holds_its_own(me, settings())
}

pub(super) fn each_holds_its_own(me: &'static str, settings: Settings) -> Bench {
    let mut bench = started_with(me, settings);
    bench.status(NodeStatus::Active);
    bench.says(Body::Starting);
    assert_eq!(bench.said(), ["R(none,0)"]);
    bench.resource(Hold::None, false, None);
    assert_eq!(bench.said(), [""; 0]);
    bench.resource(Hold::Local, true, None);
    assert_eq!(bench.said(), ["R(none,0)", "R(local,1)", "R(local,1) req_our_resources()"]);
    bench.resource(Hold::Local, true, None);
    bench.resource(Hold::Local, true, Some("req_our_resources()"));
    assert_eq!(bench.said(), [""; 0]);
    bench
}

#[test]
fn b1_two_start_together_and_the_other_timer_ends_first() {
    let bench = both_hold_their_own("node2");
    assert_eq!(bench.holds(), [false, true]);
}

#[test]
fn b1_two_start_together_and_our_timer_ends_first() {
    let mut bench = started_together("node1");
    bench.status(NodeStatus::Active);
    bench.says(Body::Starting);
    bench.resource(Hold::None, false, None);
    assert_eq!(bench.said(), ["R(none,0)"]);
    bench.wait(ms(9_900));
    assert_eq!(bench.said(), [""; 0]);
    bench.wait(ms(200));
    assert_eq!(bench.said(), ["R(local,1)", "R(local,1) req_our_resources()"]);
    assert_eq!(bench.holds(), [true, false]);
    bench.resource(Hold::None, false, None);
    bench.resource(Hold::Local, true, None);
    assert_eq!(bench.said(), ["R(local,1)"]);
}

#[test]
fn b1_an_orderly_stop_of_ours() {
    let mut bench = both_hold_their_own("node1");
    bench.works = false;
    bench.happens(Event::Stop);
    assert_eq!(bench.said(), ["R(none,0) shutdown"]);
    bench.happens(Event::Released { group: GroupId(0), ok: true });
    assert_eq!(bench.said(), ["shutdone"]);
    bench.wait(ms(2900));
    assert!(!bench.done.contains(&Action::Stopped), "statuses go on for a while");
    bench.wait(ms(200));
    assert!(bench.done.contains(&Action::Stopped));
}

#[test]
fn b1_an_orderly_stop_of_the_other() {
    let mut bench = both_hold_their_own("node2");
    bench.resource(Hold::None, false, Some("shutdown"));
    assert_eq!(bench.said(), [""; 0]);
    bench.says(Body::Shutdone);
    assert_eq!(bench.holds(), [true, true]);
    assert_eq!(bench.said(), ["R(all,1) req_our_resources()", "R(foreign,-)+ mach_down"]);
    bench.peer.beats = false;
    bench.wait(ms(1_200));
    let notices = bench.notices();
    assert!(notices.contains(&"node node1: is dead".to_owned()), "{notices:?}");
    assert!(notices.contains(&"Dead node node1 gave up resources.".to_owned()), "{notices:?}");
}

/// B.1 at 22.25 s: we come back to one that holds everything.
fn joined(ready: bool) -> Bench {
    let mut bench = Bench::new("node1", settings());
    bench.happens(Event::Ready(ready));
    bench.start();
    bench.peer.seq = 0x80;
    bench.status(NodeStatus::Active);
    assert_eq!(bench.said(), ["reqnodes node2"]);
    bench.says(Body::RepNodes { dest: "node1".into(), nodes: vec!["node1".into(), "node2".into()], deleted: vec![] });
    bench
}

#[test]
fn b1_we_return_and_are_given_our_own_back() {
    let mut bench = joined(true);
    assert_eq!(bench.said(), ["starting"]);
    bench.resource(Hold::All, true, None);
    assert_eq!(bench.said(), ["R(none,0)", "R(none,1)"]);
    bench.resource(Hold::All, true, None);
    bench.ask(Hold::Foreign, Phase::Me);
    assert_eq!(bench.said(), ["ask foreign other"]);
    bench.resource(Hold::Local, false, Some("standby"));
    assert_eq!(bench.said(), [""; 0]);
    bench.ask(Hold::Foreign, Phase::Done);
    assert_eq!(bench.said(), ["R(local,1)", "ask foreign done"]);
    bench.resource(Hold::Local, true, None);
    bench.resource(Hold::Local, true, None);
    assert_eq!(bench.said(), ["R(local,1)"]);
    assert_eq!(bench.holds(), [true, false]);
    assert!(bench.node.is_stable());
}

#[test]
fn we_do_not_say_starting_to_an_established_old_node_before_we_are_ready() {
    let mut bench = joined(false);
    bench.wait(ms(2_000));
    assert_eq!(bench.said(), [""; 0]);
    bench.happens(Event::Ready(true));
    assert_eq!(bench.said(), ["starting"]);
}

#[test]
fn an_old_node_that_starts_with_us_does_not_wait_for_our_ldirectord() {
    let mut bench = Bench::new("node1", settings());
    bench.start();
    bench.status(NodeStatus::Init);
    bench.status(NodeStatus::Up);
    let nodes = vec!["node1".into(), "node2".into()];
    bench.says(Body::RepNodes { dest: "node1".into(), nodes, deleted: vec![] });
    assert_eq!(bench.said(), ["reqnodes node2", "starting"]);
}

#[test]
fn b1b_standby_all_of_ours() {
    let mut bench = both_hold_their_own("node1");
    bench.works = false;
    bench.happens(Event::Standby { which: Which::All, ticket: Ticket(1) });
    assert_eq!(bench.said(), ["ask all me"]);
    bench.ask(Hold::All, Phase::Other);
    assert_eq!(bench.said(), ["R(none,0) standby"]);
    bench.happens(Event::Released { group: GroupId(0), ok: true });
    assert_eq!(bench.said(), ["ask all done"]);
    bench.resource(Hold::All, true, None);
    bench.ask(Hold::All, Phase::Done);
    assert!(bench.done.contains(&Action::Answer { ticket: Ticket(1), result: Ok(()) }));
    assert_eq!(bench.said(), ["R(none,1)", "R(none,1)"]);
    bench.resource(Hold::All, true, None);
    assert_eq!(bench.said(), [""; 0]);
    // hb_takeover local on node1
    bench.works = true;
    bench.happens(Event::Takeover { which: Which::Local, ticket: Ticket(2) });
    assert_eq!(bench.said(), ["hb_takeover local"]);
    bench.ask(Hold::Foreign, Phase::Me);
    assert_eq!(bench.said(), ["ask foreign other"]);
    bench.resource(Hold::Local, false, Some("standby"));
    bench.ask(Hold::Foreign, Phase::Done);
    assert!(bench.done.contains(&Action::Answer { ticket: Ticket(2), result: Ok(()) }));
    assert_eq!(bench.said(), ["R(local,1)", "ask foreign done"]);
    bench.resource(Hold::Local, true, None);
    bench.resource(Hold::Local, true, None);
    assert_eq!(bench.said(), ["R(local,1)"]);
}

#[test]
fn b1b_takeover_by_the_other_is_a_standby_of_ours() {
    let mut bench = both_hold_their_own("node2");
    bench.says(Body::HbTakeover { hold: Hold::Foreign });
    assert_eq!(bench.said(), ["ask local me"]);
    bench.ask(Hold::Local, Phase::Other);
    assert_eq!(bench.said(), ["R(none,0) standby", "ask local done"]);
}

#[test]
fn b2_alone_until_the_other_joins_and_is_given_its_own() {
    let mut bench = Bench::new("node1", settings());
    bench.happens(Event::Ready(true));
    bench.start();
    bench.peer.beats = false;
    bench.wait(ms(2_900));
    assert_eq!(bench.holds(), [false, false]);
    bench.wait(ms(200));
    assert_eq!(bench.holds(), [true, true]);
    assert_eq!(bench.said(), ["starting"]);
    bench.peer.beats = true;
    bench.status(NodeStatus::Init);
    bench.status(NodeStatus::Up);
    bench.says(Body::ReqNodes { dest: "node1".into() });
    assert_eq!(bench.said(), ["repnodes node2 [node1 node2]"]);
    bench.status(NodeStatus::Active);
    bench.says(Body::Starting);
    assert_eq!(bench.said(), ["R(all,1)"]);
    bench.resource(Hold::None, false, None);
    bench.resource(Hold::None, true, None);
    assert_eq!(bench.said(), ["R(all,1)", "ask foreign me"]);
    bench.ask(Hold::Foreign, Phase::Other);
    assert_eq!(bench.said(), ["R(local,0) standby", "ask foreign done"]);
    assert_eq!(bench.holds(), [true, false]);
    bench.resource(Hold::Local, true, None);
    bench.ask(Hold::Foreign, Phase::Done);
    assert_eq!(bench.said(), ["R(local,1)", "R(local,1)"]);
}

#[test]
fn b2_the_other_crashes_and_we_take_everything() {
    let mut bench = both_hold_their_own("node2");
    bench.peer.beats = false;
    bench.wait(ms(1_050));
    assert_eq!(bench.holds(), [true, true]);
    let notices = bench.notices();
    let position = |text: &str| notices.iter().position(|notice| notice == text).expect(text);
    assert!(position("node node1: is dead") < position("Resources being acquired from node1."));
}

#[test]
fn b3_without_auto_failback_nothing_moves_until_asked() {
    let mut bench = Bench::new("node2", Settings { auto_failback: false, ..settings() });
    bench.happens(Event::Ready(true));
    bench.start();
    bench.peer.beats = false;
    bench.wait(ms(3_100));
    bench.said();
    bench.peer.beats = true;
    bench.status(NodeStatus::Up);
    bench.status(NodeStatus::Active);
    bench.says(Body::Starting);
    bench.resource(Hold::None, false, None);
    bench.resource(Hold::None, true, None);
    assert_eq!(bench.said(), ["R(all,1)", "R(all,1)"]);
    bench.wait(ms(5_000));
    assert_eq!(bench.said(), [""; 0]);
    bench.happens(Event::Standby { which: Which::Foreign, ticket: Ticket(1) });
    assert_eq!(bench.said(), ["ask foreign me"]);
    bench.ask(Hold::Foreign, Phase::Other);
    assert_eq!(bench.said(), ["R(local,0) standby", "ask foreign done"]);
}

#[test]
fn b4_an_old_node_that_returns_finds_us_in_a_new_life_without_resources() {
    let mut bench = both_hold_their_own("node1");
    bench.peer.beats = false;
    bench.wait(ms(1_500));
    assert_eq!(bench.holds(), [true, true]);
    bench.done.clear();
    bench.works = false;
    bench.peer.beats = true;
    bench.peer.seq += 5;
    bench.status(NodeStatus::Active);
    assert_eq!(bench.said_all(), [""; 0], "nothing is said before everything is let go");
    bench.happens(Event::Released { group: GroupId(0), ok: true });
    bench.happens(Event::Released { group: GroupId(1), ok: true });
    let sent = |action: &Action| matches!(action, Action::Send(message) if message.generation == 101 && message.seq == Some(1));
    let saved = bench.done.iter().position(|action| *action == Action::SaveGeneration(101)).expect("saved");
    assert!(bench.done.iter().position(sent).expect("sent") > saved);
    assert_eq!(bench.said_all(), ["status init", "status up"]);
}

#[test]
fn a_group_that_does_not_start_here_moves_to_the_old_node() {
    let mut bench = started_together("node1");
    bench.works = false;
    bench.status(NodeStatus::Active);
    bench.says(Body::Starting);
    bench.resource(Hold::None, false, None);
    bench.resource(Hold::Local, true, None);
    bench.said();
    bench.happens(Event::Acquired { group: GroupId(0), ok: false });
    assert_eq!(bench.said(), ["R(local,1) req_our_resources()", "ask local me"]);
    bench.ask(Hold::Local, Phase::Other);
    assert_eq!(bench.said(), ["R(none,0) standby", "ask local done"]);
}

fn legacy() -> Settings {
    Settings { legacy: true, ..settings() }
}

const KEY: &str = "192.168.77.50/24/lan0";

#[test]
fn b5_legacy_alone_until_the_other_asks_for_its_own() {
    let mut bench = Bench::new("node2", legacy());
    bench.happens(Event::Ready(true));
    bench.peer.beats = false;
    bench.start();
    bench.wait(ms(3_100));
    assert_eq!(bench.holds(), [true, true]);
    assert_eq!(bench.said(), [""; 0], "nothing of groups is ever said unasked");
    bench.peer.beats = true;
    bench.status(NodeStatus::Init);
    bench.status(NodeStatus::Up);
    bench.says(Body::ReqNodes { dest: "node2".into() });
    bench.status(NodeStatus::Active);
    bench.works = false;
    bench.said();
    bench.says(Body::IpRequest { key: KEY.into() });
    assert_eq!(bench.said(), [""; 0], "it is let go first");
    bench.happens(Event::Released { group: GroupId(0), ok: true });
    assert_eq!(bench.said(), [format!("ip-request-resp node1 {KEY} true true")]);
    assert_eq!(bench.holds(), [false, true]);
    bench.says(Body::IpRequest { key: KEY.into() });
    assert_eq!(bench.said(), [format!("ip-request-resp node1 {KEY} false true")], "asked again");
    bench.happens(Event::Standby { which: Which::All, ticket: Ticket(1) });
    assert!(bench.done.iter().any(|action| matches!(action, Action::Answer { result: Err(_), .. })));
    bench.works = true;
    bench.happens(Event::Stop);
    assert_eq!(bench.said(), ["shutdone"]);
}

#[test]
fn legacy_a_node_that_has_not_heard_us_in_time_takes_its_own_without_asking_and_has_it() {
    let mut bench = Bench::new("node2", legacy());
    bench.happens(Event::Ready(true));
    bench.peer.beats = false;
    bench.start();
    bench.wait(ms(3_100));
    bench.peer.beats = true;
    bench.status(NodeStatus::Init);
    bench.status(NodeStatus::Up);
    bench.status(NodeStatus::Active);
    bench.said();
    bench.peer.seq += 1;
    let to_itself = Header { destuuid: Some(bench.peer.uuid), ..bench.header(Some(bench.peer.seq)) };
    let body = Body::IpRequestResp { dest: "node1".into(), key: KEY.into(), we_own: true, ok: true };
    bench.hears(&Heard { header: to_itself, body, word: None, strong: true });
    assert_eq!(bench.holds(), [false, true]);
    assert_eq!(bench.said(), [""; 0], "nobody waits for an answer");
}

#[test]
fn b5_legacy_we_come_up_and_ask_until_we_are_answered() {
    let mut bench = Bench::new("node1", legacy());
    bench.start();
    bench.status(NodeStatus::Active);
    bench.says(Body::RepNodes { dest: "node1".into(), nodes: vec!["node1".into(), "node2".into()], deleted: vec![] });
    bench.wait(ms(500));
    assert!(!bench.said().iter().any(|line| line.starts_with("ip-request")), "it serves, and we could not yet");
    bench.happens(Event::Ready(true));
    assert_eq!(bench.said(), [format!("ip-request {KEY}")]);
    bench.wait(ms(9_900));
    assert_eq!(bench.said(), [""; 0]);
    bench.wait(ms(200));
    assert_eq!(bench.said(), [format!("ip-request {KEY}")], "the answer may have got lost");
    assert_eq!(bench.holds(), [false, false]);
    bench.says(Body::IpRequestResp { dest: "node1".into(), key: KEY.into(), we_own: true, ok: true });
    assert_eq!((bench.said(), bench.holds()), (vec![], [true, false]));
    bench.peer.beats = false;
    bench.wait(ms(1_500));
    assert_eq!((bench.said(), bench.holds()), (vec![], [true, true]));
}

#[test]
fn legacy_what_is_still_being_started_is_let_go_when_this_node_stops() {
    let mut bench = Bench::new("node1", legacy());
    bench.happens(Event::Ready(true));
    bench.start();
    bench.status(NodeStatus::Active);
    bench.says(Body::RepNodes { dest: "node1".into(), nodes: vec!["node1".into(), "node2".into()], deleted: vec![] });
    bench.wait(ms(500));
    bench.works = false;
    bench.says(Body::IpRequestResp { dest: "node1".into(), key: KEY.into(), we_own: true, ok: true });
    assert_eq!(bench.node.state(GroupId(0)), Some(State::Acquiring));
    bench.happens(Event::Stop);
    assert_eq!(bench.node.state(GroupId(0)), Some(State::Acquiring), "its scripts are not interrupted");
    bench.done.clear();
    bench.happens(Event::Acquired { group: GroupId(0), ok: true });
    assert!(bench.done.contains(&Action::Release { group: GroupId(0), why: Why::Stop }));
    bench.happens(Event::Released { group: GroupId(0), ok: true });
    assert_eq!(bench.said(), ["shutdone"]);
    bench.wait(ms(3_100));
    assert!(bench.done.contains(&Action::Stopped));
}
