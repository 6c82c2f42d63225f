//! What happens to servers, and the lines about it (rows 52 to 54, 69, T14, T16, T23).

use super::*;

const VIP: &str = "198.51.100.1:80";

fn pair() -> Virtual {
    service(VIP, &[real("192.0.2.1:80 masq 5"), real("192.0.2.2:80 masq")])
}

#[test]
fn a_server_is_added_after_its_first_good_check_and_not_before() {
    let mut room = Room::start(config(&[pair()]), Table::new());
    assert_eq!(room.said(), ["Added virtual server: 198.51.100.1:80"]);
    assert_eq!(room.servers(VIP), weights(&[]));
    room.kill("192.0.2.2");
    room.turn();
    assert_eq!(room.said(), ["Added real server: 192.0.2.1:80 (198.51.100.1:80) (Weight set to 5)"]);
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 5)]));
}

#[test]
fn in_quiescent_mode_a_server_that_never_worked_is_added_with_weight_0() {
    let quiescent = Virtual { quiescent: true, ..pair() };
    let mut room = Room::after_first_round(config(&[quiescent]), Table::new(), &["192.0.2.2"]);
    assert_eq!(
        room.said(),
        [
            "Added virtual server: 198.51.100.1:80",
            "Added real server: 192.0.2.1:80 (198.51.100.1:80) (Weight set to 5)",
            "Quiescent real server: 192.0.2.2:80 (198.51.100.1:80) (Weight set to 0)",
        ]
    );
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 5), ("192.0.2.2:80", 0)]));
}

#[test]
fn row_52_failurecount_2_with_a_fallback_fail_fail_recover() {
    let one = Virtual {
        failure_count: NonZeroU32::new(2).expect("not zero"),
        fallback: fallback("127.0.0.1:80 gate"),
        ..service(VIP, &[real("192.0.2.1:80 masq")])
    };
    let mut room = Room::after_first_round(config(&[one]), Table::new(), &[]);
    room.said();
    room.kill("192.0.2.1");
    room.round();
    assert_eq!(room.said(), ["Soft failure real server: 192.0.2.1:80 (tcp:198.51.100.1:80) failure 1/2"]);
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 1)]));
    room.round();
    assert_eq!(
        room.said(),
        [
            "Deleted real server: 192.0.2.1:80 (198.51.100.1:80)",
            "Added fallback server: 127.0.0.1:80 (198.51.100.1:80) (Weight set to 1)",
        ]
    );
    assert_eq!(room.servers(VIP), weights(&[("127.0.0.1:80", 1)]));
    room.revive("192.0.2.1");
    room.round();
    assert_eq!(
        room.said(),
        [
            "Resetting soft failure count: 192.0.2.1:80 (tcp:198.51.100.1:80)",
            "Added real server: 192.0.2.1:80 (198.51.100.1:80) (Weight set to 1)",
            "Deleted fallback server: 127.0.0.1:80 (198.51.100.1:80)",
        ]
    );
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 1)]));
}

#[test]
fn a_start_with_a_good_server_does_not_touch_the_fallback() {
    let both = Virtual { fallback: fallback("127.0.0.1:80 gate"), ..pair() };
    let mut room = Room::after_first_round(config(&[both]), Table::new(), &["192.0.2.2"]);
    assert!(room.said().iter().all(|line| !line.contains("fallback server:")));
    assert_eq!(room.changes.len(), 2, "the service and one server: {:?}", room.changes);
}

#[test]
fn the_fallback_waits_for_hung_servers_only_so_long() {
    let both = Virtual { fallback: fallback("127.0.0.1:80 gate"), ..pair() };
    let mut room = Room::start(config(&[both]), Table::new());
    let orders = room.farm.due(room.now);
    room.kill("192.0.2.1");
    room.answer(&orders[0]);
    room.program();
    assert_eq!(room.servers(VIP), weights(&[]));
    room.now = room.farm.next_check().expect("the end of the grace");
    assert_eq!(room.farm.due(room.now), []);
    room.program();
    assert_eq!(room.servers(VIP), weights(&[("127.0.0.1:80", 1)]));
    room.answer(&orders[1]);
    room.program();
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.2:80", 1)]));
}

#[test]
fn a_fallback_that_serves_at_a_start_serves_until_a_server_is_found_good() {
    let one = Virtual { fallback: fallback("127.0.0.1:80 masq"), ..service(VIP, &[real("192.0.2.1:80 masq")]) };
    let live = [("192.0.2.1:80", 0), ("127.0.0.1:80", 1)];
    let found = table(&[(VIP, &live)]);
    let mut room = Room::start(config(&[one]), found);
    assert_eq!(room.servers(VIP), weights(&live));
    room.turn();
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 1)]));
}

#[test]
fn the_fallback_is_in_the_kernel_before_the_last_server_leaves_it() {
    let one = Virtual { fallback: fallback("127.0.0.1:80 gate"), ..service(VIP, &[real("192.0.2.1:80 masq")]) };
    let mut room = Room::after_first_round(config(&[one]), Table::new(), &[]);
    room.changes.clear();
    room.kill("192.0.2.1");
    room.round();
    let kinds: Vec<_> = room.changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        kinds,
        [
            "add real server 127.0.0.1:80 to tcp 198.51.100.1:80",
            "delete real server 192.0.2.1:80 of tcp 198.51.100.1:80",
        ]
    );
}

#[test]
fn row_53_quiescent_fail_and_recover_and_the_thresholds_stay() {
    let mut limited = real("192.0.2.1:80 masq 4");
    (limited.destination.upper_threshold, limited.destination.lower_threshold) = (30, 10);
    let one = Virtual { quiescent: true, ..service(VIP, &[limited.clone()]) };
    let mut room = Room::after_first_round(config(&[one]), Table::new(), &[]);
    room.said();
    room.kill("192.0.2.1");
    room.round();
    assert_eq!(room.said(), ["Quiescent real server: 192.0.2.1:80 (198.51.100.1:80) (Weight set to 0)"]);
    let quiescent = room.table[&key(VIP)].destinations[&limited.at];
    assert_eq!(quiescent, Destination { weight: 0, ..limited.destination });
    room.revive("192.0.2.1");
    room.round();
    assert_eq!(
        room.said(),
        [
            "Resetting soft failure count: 192.0.2.1:80 (tcp:198.51.100.1:80)",
            "Restored real server: 192.0.2.1:80 (198.51.100.1:80) (Weight set to 4)",
        ]
    );
}

#[test]
fn row_54_readdquiescent_puts_a_missing_server_there_with_weight_0() {
    let one = Virtual { quiescent: true, ..service(VIP, &[real("192.0.2.1:80 masq 4")]) };
    let mut room = Room::after_first_round(readding(&[one]), Table::new(), &["192.0.2.1"]);
    assert_eq!(
        room.said(),
        [
            "Added virtual server: 198.51.100.1:80",
            "Readd Quiescent real server: 192.0.2.1:80 (198.51.100.1:80) (Weight set to 0)",
        ]
    );
}

#[test]
fn row_69_checktype_2_is_negotiate_connect_connect_negotiate() {
    let connect = Connect { at: at("192.0.2.1:80"), timeout: 5 * SECOND };
    let negotiate = Negotiate {
        probe: Probe::Http(crate::config::model::Http {
            tls: false,
            verify: false,
            at: connect.at,
            method: crate::config::model::Method::Get,
            path: "/".into(),
            host: "192.0.2.1".into(),
            server_name: None,
            receive: None,
            url: crate::config::model::Derived::default(),
        }),
        timeout: 30 * SECOND,
    };
    let connects = NonZeroU32::new(2).expect("not zero");
    let combined = Check::Combined { negotiate, connects, connect: Some(connect) };
    let one = service(VIP, &[with(combined, real("192.0.2.1:80 masq"))]);
    let mut room = Room::after_first_round(config(&[one]), Table::new(), &[]);
    for _ in 0..6 {
        room.round();
    }
    let steps: String =
        room.made.iter().map(|order| if matches!(*order.step, Check::Connect(_)) { 'c' } else { 'n' }).collect();
    assert_eq!(steps, "nccnccn");
}

#[test]
fn a_check_shared_by_two_services_is_made_once_and_counts_once_in_each() {
    let shared = real("192.0.2.1:80 masq");
    let four = NonZeroU32::new(4).expect("not zero");
    let web = Virtual { failure_count: four, ..service(VIP, std::slice::from_ref(&shared)) };
    let other = service("198.51.100.2:80", &[shared]);
    let mut room = Room::after_first_round(config(&[web, other]), Table::new(), &[]);
    room.said();
    assert_eq!(room.made.len(), 1);
    room.kill("192.0.2.1");
    room.round();
    assert_eq!(
        room.said(),
        [
            "Soft failure real server: 192.0.2.1:80 (tcp:198.51.100.1:80) failure 1/4",
            "Deleted real server: 192.0.2.1:80 (198.51.100.2:80)",
        ]
    );
    for _ in 0..2 {
        room.round();
        assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 1)]));
    }
    room.round();
    assert_eq!(room.servers(VIP), weights(&[]));
    assert_eq!(room.made.len(), 5);
}

#[test]
fn a_weight_set_by_hand_stays_until_that_servers_next_change_of_state() {
    let mut room = Room::after_first_round(config(&[pair()]), Table::new(), &[]);
    let by_hand = |room: &mut Room, weight| {
        let servers = &mut room.table.get_mut(&key(VIP)).expect("the service").destinations;
        servers.get_mut(&at("192.0.2.1:80")).expect("the server").weight = weight;
    };
    by_hand(&mut room, 0);
    room.kill("192.0.2.2");
    room.round();
    room.revive("192.0.2.2");
    room.round();
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 0), ("192.0.2.2:80", 1)]), "another server's changes");
    room.kill("192.0.2.1");
    room.round();
    room.revive("192.0.2.1");
    room.round();
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 5), ("192.0.2.2:80", 1)]));
    by_hand(&mut room, 7);
    room.said();
    room.reload(config(&[pair()]));
    assert_eq!(room.said(), ["Restored real server: 192.0.2.1:80 (198.51.100.1:80) (Weight set to 5)"]);
}

#[test]
fn weight_0_in_the_file_is_up_and_keeps_the_fallback_out() {
    let one = Virtual { fallback: fallback("127.0.0.1:80 gate"), ..service(VIP, &[real("192.0.2.1:80 masq 0")]) };
    let room = Room::after_first_round(config(&[one]), Table::new(), &[]);
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 0)]));
}

#[test]
fn a_fallback_that_is_one_of_the_servers_does_not_take_it_away() {
    let both = Virtual { fallback: fallback("192.0.2.2:80 masq"), ..pair() };
    let mut room = Room::after_first_round(config(&[both]), Table::new(), &["192.0.2.1", "192.0.2.2"]);
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.2:80", 1)]));
    room.revive("192.0.2.1");
    room.round();
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 5)]), "the fallback leaves, its server is down");
    room.revive("192.0.2.2");
    room.round();
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 5), ("192.0.2.2:80", 1)]));
}

#[test]
fn a_drained_server_has_weight_0_until_it_is_put_back() {
    let mut room = Room::after_first_round(config(&[pair()]), Table::new(), &[]);
    room.said();
    let notices = room.farm.drain("192.0.2.1", Some("tcp:198.51.100.1:80"), true).expect("known");
    room.tell(notices);
    room.program();
    assert_eq!(
        room.said(),
        [
            "Draining 192.0.2.1:80 (tcp:198.51.100.1:80)",
            "Quiescent real server: 192.0.2.1:80 (198.51.100.1:80) (Weight set to 0)",
        ]
    );
    room.reload(config(&[pair()]));
    room.round();
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 0), ("192.0.2.2:80", 1)]), "also after a reload");
    assert_eq!(room.farm.drain("192.0.2.1:80", None, true), Ok(vec![]));
    room.farm.drain("192.0.2.1:80", None, false).expect("known");
    room.program();
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 5), ("192.0.2.2:80", 1)]));
    let unknown = room.farm.drain("192.0.2.9", None, true).expect_err("unknown").to_string();
    assert_eq!(unknown, "there is no real server 192.0.2.9; there are: 192.0.2.1:80, 192.0.2.2:80");
    assert!(room.farm.drain("192.0.2.1", Some("tcp:198.51.100.9:80"), true).is_err());
}

#[test]
fn with_all_servers_drained_the_fallback_serves() {
    let one = Virtual { fallback: fallback("127.0.0.1:80 gate"), ..service(VIP, &[real("192.0.2.1:80 masq")]) };
    let mut room = Room::after_first_round(config(&[one]), Table::new(), &[]);
    room.farm.drain("192.0.2.1", None, true).expect("known");
    room.program();
    assert_eq!(room.servers(VIP), weights(&[("127.0.0.1:80", 1), ("192.0.2.1:80", 0)]));
}

#[test]
fn the_farm_is_ready_when_every_check_was_heard_and_programmed() {
    let mut room = Room::start(config(&[pair()]), Table::new());
    let orders = room.farm.due(room.now);
    assert_eq!(orders.len(), 2);
    room.answer(&orders[0]);
    room.program();
    assert!(!room.farm.is_ready());
    room.answer(&orders[1]);
    assert!(!room.farm.is_ready(), "heard, not yet programmed");
    room.program();
    assert!(room.farm.is_ready());
    room.reload(config(&[pair()]));
    assert!(!room.farm.is_ready());
    room.turn();
    assert!(room.farm.is_ready());
    assert_eq!(room.notices.iter().filter(|notice| matches!(notice, Notice::Ready {})).count(), 2);
}
