//! Start, reload and stop over tables that already hold something (rows 27 to 31, 55 to 57,
//! 60, 61; 7.2, 7.6, 7.7).

use super::*;

const VIP: &str = "198.51.100.1:80";

fn off(vip: &str, line: &str) -> Virtual {
    service(vip, &[with(Check::Off, real(line))])
}

#[test]
fn row_27_off_with_a_fallback_leaves_only_the_fallback() {
    let one = Virtual { fallback: fallback("127.0.0.1:8080 masq"), ..off(VIP, "192.0.2.91:80 masq 5") };
    let room = Room::after_first_round(config(&[one]), Table::new(), &[]);
    assert_eq!(room.servers(VIP), weights(&[("127.0.0.1:8080", 1)]));
    assert!(room.made.is_empty(), "nothing is checked");
    assert!(room.farm.is_ready());
}

#[test]
fn row_28_off_and_quiescent_is_weight_0() {
    let one = Virtual { quiescent: true, ..off(VIP, "192.0.2.101:80 masq 5") };
    let mut room = Room::after_first_round(config(&[one]), Table::new(), &[]);
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.101:80", 0)]));
    assert_eq!(
        room.said(),
        [
            "Added virtual server: 198.51.100.1:80",
            "Quiescent real server: 192.0.2.101:80 (198.51.100.1:80) (Weight set to 0)",
        ]
    );
}

#[test]
fn off_stays_up_where_the_table_has_it_up() {
    let one = Virtual { fallback: fallback("127.0.0.1:80 gate"), ..off(VIP, "192.0.2.91:80 masq 5") };
    let live = table(&[(VIP, &[("192.0.2.91:80", 3)])]);
    let room = Room::after_first_round(config(&[one]), live, &[]);
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.91:80", 5)]), "up, with the file's weight");
}

#[test]
fn on_is_up_from_the_beginning() {
    let one = service(VIP, &[with(Check::On, real("192.0.2.1:80 masq 5"))]);
    let room = Room::start(config(&[one]), Table::new());
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 5)]));
}

#[test]
fn an_impossible_check_is_down_from_the_beginning_and_says_why() {
    let impossible = Check::Impossible("connect needs a port");
    let one = service(VIP, &[with(impossible, real("192.0.2.1:80 masq 5"))]);
    let room = Room::start(config(&[one]), table(&[(VIP, &[("192.0.2.1:80", 5)])]));
    assert_eq!(room.servers(VIP), weights(&[]));
    assert_eq!(room.lines[0], "Check of 192.0.2.1:80 (tcp:198.51.100.1:80) failed: connect needs a port");
}

#[test]
fn rows_30_and_31_a_mapped_fallback_is_named_with_both_ports_when_it_is_deleted() {
    let mut mapped = fallback("127.0.0.1:80 gate").expect("a fallback");
    mapped.configured_port = 8080;
    let one = Virtual { fallback: Some(mapped), ..service(VIP, &[real("192.0.2.1:80 masq")]) };
    let mut room = Room::after_first_round(config(&[one]), Table::new(), &["192.0.2.1"]);
    assert_eq!(room.servers(VIP), weights(&[("127.0.0.1:80", 1)]));
    assert_eq!(room.said()[1], "Added fallback server: 127.0.0.1:8080 (198.51.100.1:80) (Weight set to 1)");
    room.revive("192.0.2.1");
    room.round();
    assert_eq!(room.said()[2], "Deleted fallback server: 127.0.0.1:80 mapped from 127.0.0.1:8080 (198.51.100.1:80)");
}

#[test]
fn row_55_a_start_adopts_corrects_purges_and_leaves_others_alone() {
    let three = service(VIP, &[real("192.0.2.1:80 masq 5"), real("192.0.2.2:80 masq 2"), real("192.0.2.3:80 masq")]);
    let foreign = "203.0.113.1:25";
    let live = table(&[
        (VIP, &[("192.0.2.1:80", 3), ("192.0.2.2:80", 2), ("192.0.2.3:80", 0), ("192.0.2.9:80", 1)]),
        (foreign, &[("192.0.2.9:25", 1)]),
    ]);
    let mut room = Room::start(config(&[three]), live);
    assert_eq!(
        room.said(),
        [
            "Restored real server: 192.0.2.1:80 (198.51.100.1:80) (Weight set to 5)",
            "Purged real server (start): 192.0.2.9:80 (198.51.100.1:80)",
        ]
    );
    let before = weights(&[("192.0.2.1:80", 5), ("192.0.2.2:80", 2), ("192.0.2.3:80", 0)]);
    assert_eq!(room.servers(VIP), before, "what is quiescent waits for its check");
    room.turn();
    assert_eq!(room.said(), ["Restored real server: 192.0.2.3:80 (198.51.100.1:80) (Weight set to 1)"]);
    assert_eq!(room.servers(foreign), weights(&[("192.0.2.9:25", 1)]));
}

#[test]
fn a_start_over_its_own_table_changes_nothing() {
    let web = Virtual {
        quiescent: true,
        fallback: fallback("127.0.0.1:80 gate"),
        ..service(VIP, &[real("192.0.2.1:80 masq 5"), real("192.0.2.2:80 masq")])
    };
    let mut room = Room::after_first_round(config(std::slice::from_ref(&web)), Table::new(), &["192.0.2.2"]);
    let again = Room::after_first_round(config(&[web]), std::mem::take(&mut room.table), &["192.0.2.2"]);
    assert_eq!(again.changes, []);
    assert_eq!(again.servers(VIP), weights(&[("192.0.2.1:80", 5), ("192.0.2.2:80", 0)]));
}

#[test]
fn an_adopted_server_that_is_dead_leaves_after_failurecount() {
    let two = NonZeroU32::new(2).expect("not zero");
    let one = Virtual { failure_count: two, ..service(VIP, &[real("192.0.2.1:80 masq")]) };
    let live = table(&[(VIP, &[("192.0.2.1:80", 1)])]);
    let mut room = Room::after_first_round(config(&[one]), live, &["192.0.2.1"]);
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 1)]));
    room.round();
    assert_eq!(room.servers(VIP), weights(&[]));
}

#[test]
fn row_56_persistence_that_the_file_does_not_have_is_removed() {
    let mut live = table(&[(VIP, &[("192.0.2.1:80", 1)])]);
    let netmask = lvs::ipvs::Netmask::host(lvs::ipvs::Family::Inet);
    live.get_mut(&key(VIP)).expect("there").service.persistence =
        Some(lvs::ipvs::Persistence { timeout: 300, netmask });
    let one = service(VIP, &[real("192.0.2.1:80 masq")]);
    let mut room = Room::start(config(&[one]), live);
    assert_eq!(room.said(), ["Changed virtual server: 198.51.100.1:80"]);
    assert_eq!(room.table[&key(VIP)].service.persistence, None);
}

#[test]
fn row_57_a_reload_changes_only_what_differs() {
    let gone = "198.51.100.7:80";
    let first = [
        service(VIP, &[real("192.0.2.1:80 masq"), real("192.0.2.2:80 masq"), real("192.0.2.3:80 masq")]),
        service(gone, &[real("192.0.2.4:80 masq")]),
    ];
    let mut room = Room::after_first_round(config(&first), Table::new(), &["192.0.2.2"]);
    room.said();
    room.changes.clear();
    let second = [
        service(VIP, &[real("192.0.2.1:80 masq 7"), real("192.0.2.2:80 masq"), real("192.0.2.5:80 masq")]),
        service("198.51.100.8:80", &[]),
    ];
    room.reload(config(&second));
    assert_eq!(
        room.said(),
        [
            "Added virtual server: 198.51.100.8:80",
            "Restored real server: 192.0.2.1:80 (198.51.100.1:80) (Weight set to 7)",
            "Purged real server (start): 192.0.2.3:80 (198.51.100.1:80)",
            "Purged virtual server (start): 198.51.100.7:80",
        ]
    );
    room.turn();
    assert_eq!(room.said(), ["Added real server: 192.0.2.5:80 (198.51.100.1:80) (Weight set to 1)"]);
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 7), ("192.0.2.5:80", 1)]), "the dead one never came up");
    assert!(!room.table.contains_key(&key(gone)));
    room.changes.clear();
    room.reload(config(&second));
    room.turn();
    assert_eq!(room.changes, [], "the same file again");
}

#[test]
fn a_reload_that_moves_a_service_from_tcp_to_udp_adds_one_and_purges_the_other() {
    let tcp = service(VIP, &[real("192.0.2.1:80 masq")]);
    let udp = Virtual { key: ServiceKey::udp(at(VIP)), ..tcp.clone() };
    let mut room = Room::after_first_round(config(&[tcp]), Table::new(), &[]);
    room.reload(config(&[udp]));
    room.turn();
    assert_eq!(room.table.keys().copied().collect::<Vec<_>>(), [ServiceKey::udp(at(VIP))]);
}

#[test]
fn a_check_that_stays_the_same_goes_on_and_one_that_is_gone_is_not_heard_any_more() {
    let first = service(VIP, &[real("192.0.2.1:80 masq"), real("192.0.2.2:80 masq")]);
    let mut room = Room::start(config(&[first]), Table::new());
    let orders = room.farm.due(room.now);
    room.reload(config(&[service(VIP, &[real("192.0.2.2:80 masq 9")])]));
    assert_eq!(room.farm.due(room.now), [], "it runs already");
    for order in &orders {
        room.answer(order);
    }
    room.program();
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.2:80", 9)]));
}

#[test]
fn row_61_a_stop_purges_servers_that_are_up_and_then_their_service() {
    let web = Virtual { quiescent: true, ..service(VIP, &[real("192.0.2.1:80 masq"), real("192.0.2.2:80 masq")]) };
    let mut room = Room::after_first_round(config(&[web]), Table::new(), &["192.0.2.2"]);
    let farewell = room.farm.farewell(&room.table);
    let (changes, lines): (Vec<_>, Vec<_>) =
        farewell.into_iter().map(|(change, notice)| (change, notice.to_string())).unzip();
    assert_eq!(
        lines,
        ["Purged real server (stop): 192.0.2.1:80 (198.51.100.1:80)", "Purged virtual server (stop): 198.51.100.1:80",]
    );
    assert!(room.carry_out(&changes).iter().all(Result::is_ok));
    assert_eq!(room.table, Table::new());
}

#[test]
fn row_60_without_cleanstop_a_stop_changes_nothing() {
    let stays = Virtual { clean_stop: false, ..service(VIP, &[real("192.0.2.1:80 masq")]) };
    let room = Room::after_first_round(config(&[stays]), Table::new(), &[]);
    assert_eq!(room.farm.farewell(&room.table), []);
}
