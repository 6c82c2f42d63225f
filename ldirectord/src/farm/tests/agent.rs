//! Agents on the servers.

use super::*;
use crate::check::Advice;
use crate::config::model::Agent;
use lvs::control::ldirectord::RealState;
use std::num::NonZeroU16;

const VIP: &str = "198.51.100.1:80";

fn asking(interval: Duration) -> Extensions {
    let port = NonZeroU16::new(9707).expect("not zero");
    Extensions { agent: Some(Agent { port, interval, timeout: interval }), ..Extensions::default() }
}

fn one() -> Virtual {
    let fallback = fallback("127.0.0.1:80 gate");
    Virtual { fallback, extensions: asking(2 * SECOND), ..service(VIP, &[real("192.0.2.1:80 masq 10")]) }
}

impl Room {
    /// From now on the agent of 192.0.2.1 says this; it is asked and heard.
    fn agent(&mut self, said: &str) {
        self.agents.insert(at("192.0.2.1:0").ip(), said.to_owned());
        self.now += 2 * SECOND;
        self.turn();
    }

    fn state(&self) -> RealState {
        self.farm.status(self.now)[0].reals[0].state
    }
}

#[test]
fn an_agent_says_weight_and_state_and_takes_them_back() {
    let mut room = Room::after_first_round(config(&[one()]), Table::new(), &[]);
    for (said, weight, state) in [
        ("50%", Some(10 / 2), RealState::Up),
        ("1%", Some(1), RealState::Up),
        ("0%", Some(0), RealState::Up),
        ("100% drain", Some(0), RealState::Drained),
        ("20%", Some(0), RealState::Drained),
        ("ready", Some(2), RealState::Up),
        ("down # disk full", None, RealState::Down),
        ("ready 100%", None, RealState::Down),
        ("up", Some(10), RealState::Up),
        ("maint", None, RealState::Maintenance),
        ("up", None, RealState::Maintenance),
        ("ready", Some(10), RealState::Up),
    ] {
        room.agent(said);
        assert_eq!(room.servers(VIP).get("192.0.2.1:80").copied(), weight, "{said}");
        assert_eq!(room.state(), state, "{said}");
        let serves = state == RealState::Up;
        assert_eq!(room.servers(VIP).contains_key("127.0.0.1:80"), !serves, "{said}: the fallback serves or not");
    }
}

#[test]
fn what_it_says_is_logged_when_the_words_change_and_percentages_are_not() {
    let mut room = Room::after_first_round(config(&[one()]), Table::new(), &[]);
    let refused = "Agent of 192.0.2.1:80 (tcp:198.51.100.1:80) cannot be asked: refused";
    assert!(room.said().contains(&refused.to_owned()));
    room.round();
    assert_eq!(room.said(), [""; 0], "told once");
    room.agent("50%");
    let says = |line: &str| format!("Agent of 192.0.2.1:80 (tcp:198.51.100.1:80) says {line:?}");
    let weight = |n| format!("Weight of 192.0.2.1:80 (tcp:198.51.100.1:80) set to {n}");
    assert_eq!(room.said(), [says("50%"), weight(5)]);
    room.agent("70%");
    room.agent("70% up");
    assert_eq!(room.said(), [weight(7)]);
    room.agent("failed#disk\tfull");
    let said = room.said();
    assert_eq!(said[..2], [says("failed#disk\tfull"), "Deleted real server: 192.0.2.1:80 (198.51.100.1:80)".into()]);
    let down = |notice: &&Notice| matches!(notice, Notice::RealDown { why, .. } if why.contains("disk\\tfull"));
    assert_eq!(room.notices.iter().filter(down).count(), 1);
}

#[test]
fn a_server_is_up_if_both_its_check_and_its_agent_say_so() {
    let with = Virtual { failure_count: NonZeroU32::new(3).expect("not zero"), ..one() };
    let mut room = Room::after_first_round(config(&[with]), Table::new(), &[]);
    let ups = |room: &Room| room.notices.iter().filter(|n| matches!(n, Notice::RealUp { .. })).count();
    let downs = |room: &Room| room.notices.iter().filter(|n| matches!(n, Notice::RealDown { .. })).count();
    assert_eq!((ups(&room), downs(&room)), (1, 0));
    room.agent("down");
    assert_eq!((room.state(), downs(&room)), (RealState::Down, 1), "at once, whatever failurecount says");
    room.kill("192.0.2.1");
    for _ in 0..3 {
        room.round();
    }
    room.agent("up");
    assert_eq!((room.state(), ups(&room), downs(&room)), (RealState::Down, 1, 1), "its check still fails");
    room.agent("down");
    room.revive("192.0.2.1");
    room.round();
    assert_eq!((room.state(), ups(&room)), (RealState::Down, 1), "its agent still says so");
    room.agent("up");
    assert_eq!((room.state(), ups(&room), downs(&room)), (RealState::Up, 2, 1));
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 10)]));
}

#[test]
fn an_agent_that_falls_silent_is_no_failure_and_its_last_words_hold() {
    let mut room = Room::after_first_round(config(&[one()]), Table::new(), &[]);
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 10)]), "it never answered");
    room.agent("30%");
    room.agents.clear();
    room.round();
    assert_eq!((room.servers(VIP), room.state()), (weights(&[("192.0.2.1:80", 3)]), RealState::Up));
    let said = room.farm.status(room.now)[0].reals[0].agent.clone();
    assert_eq!(said.as_deref(), Some("cannot be asked: refused"));
    room.agent("nothing of any use");
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 3)]));
}

#[test]
fn a_server_gets_no_weight_before_its_agent_was_asked_and_keeps_what_it_has() {
    let weight_in = |found: &[(&str, u32)]| {
        let mut room = Room::start(config(&[one()]), table(&[(VIP, found)]));
        let orders = room.farm.due(room.now);
        let (agents, checks): (Vec<_>, Vec<_>) = orders.iter().partition(|o| matches!(*o.step, Check::Agent(_)));
        assert_eq!((agents.len(), checks.len()), (1, 1));
        room.answer(checks[0]);
        room.program();
        let before = room.servers(VIP);
        assert!(!room.farm.is_ready(), "the first round is not over");
        room.agents.insert(at("192.0.2.1:0").ip(), "drain".to_owned());
        room.answer(agents[0]);
        room.program();
        assert!(room.farm.is_ready());
        (before, room.servers(VIP))
    };
    let drained = weights(&[("127.0.0.1:80", 1), ("192.0.2.1:80", 0)]);
    assert_eq!(weight_in(&[]), (weights(&[]), drained.clone()));
    assert_eq!(weight_in(&[("192.0.2.1:80", 7)]), (weights(&[("192.0.2.1:80", 7)]), drained));
}

#[test]
fn the_fallback_serves_until_a_server_has_its_weight() {
    let mut room = Room::start(config(&[one()]), table(&[(VIP, &[("127.0.0.1:80", 1)])]));
    let orders = room.farm.due(room.now);
    let (agents, checks): (Vec<_>, Vec<_>) = orders.iter().partition(|o| matches!(*o.step, Check::Agent(_)));
    room.answer(checks[0]);
    room.program();
    assert_eq!(room.servers(VIP), weights(&[("127.0.0.1:80", 1)]));
    room.agents.insert(at("192.0.2.1:0").ip(), "ready".to_owned());
    room.answer(agents[0]);
    room.program();
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 10)]));
}

#[test]
fn an_agent_and_an_external_check_agree_on_a_weight() {
    let mut room = Room::after_first_round(config(&[one()]), Table::new(), &[]);
    room.agent("50%");
    room.now += 10 * SECOND;
    for order in room.farm.due(room.now) {
        if matches!(*order.step, Check::Agent(_)) {
            room.answer(&order);
            continue;
        }
        let advice = Some(Advice::Weight(40));
        let report = Report { result: Ok("fine".into()), took: Duration::ZERO, words: None, advice };
        drop(room.farm.heard(room.now, order.id, &report));
    }
    room.program();
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 20)]));
}

#[test]
fn files_orders_and_agents_do_not_know_of_each_other() {
    let mut room = Room::after_first_round(config(&[one()]), Table::new(), &[]);
    room.agent("drain");
    let notices = room.farm.drain("192.0.2.1", None, true).expect("it is there");
    room.tell(notices);
    let drained = |room: &Room| (room.state(), room.farm.status(room.now)[0].reals[0].drained);
    assert_eq!(drained(&room), (RealState::Drained, true));
    room.agent("ready");
    assert_eq!(drained(&room), (RealState::Drained, true), "the order holds");
    room.agent("drain");
    let notices = room.farm.drain("192.0.2.1", None, false).expect("it is there");
    room.tell(notices);
    assert_eq!(drained(&room), (RealState::Drained, false), "the agent's word holds");
}

#[test]
fn a_reload_keeps_what_an_agent_said_until_it_asks_no_agent_or_another() {
    let mut room = Room::after_first_round(config(&[one()]), Table::new(), &[]);
    room.agent("drain");
    room.agent("50%");
    room.reload(config(&[Virtual { extensions: asking(3 * SECOND), ..one() }]));
    assert_eq!(room.state(), RealState::Drained, "another pause is no other agent");
    room.reload(config(&[one()]));
    room.agent("drain");
    let without = Virtual { extensions: Extensions::default(), ..one() };
    room.reload(config(&[without]));
    assert_eq!(room.state(), RealState::Up);
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 10)]));
    room.reload(config(&[one()]));
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 10)]), "it keeps what it has until the agent was asked");
    room.turn();
    assert_eq!(room.state(), RealState::Drained);
}

#[test]
fn an_agent_alone_decides_where_nothing_is_checked() {
    let with = Virtual { reals: vec![with(Check::On, real("192.0.2.1:80 masq 10"))], ..one() };
    let mut room = Room::start(config(&[with]), Table::new());
    room.agent("down");
    assert_eq!(room.servers(VIP), weights(&[("127.0.0.1:80", 1)]));
    room.agent("up");
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 10)]));
}

#[test]
fn a_server_that_its_agent_brings_back_climbs_too() {
    let slow = Extensions { slow_start: Some(100 * SECOND), ..asking(2 * SECOND) };
    let mut room = Room::after_first_round(config(&[Virtual { extensions: slow, ..one() }]), Table::new(), &[]);
    room.agent("down");
    room.agent("up");
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 1)]));
}
