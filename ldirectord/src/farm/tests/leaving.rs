//! `draintimeout`: servers that leave the table with their connections.

use super::*;
use crate::maintenance::Posted;

const VIP: &str = "198.51.100.1:80";

fn patient(reals: &[Real]) -> Virtual {
    let extensions = Extensions { drain_timeout: Some(30 * SECOND), ..Extensions::default() };
    Virtual { extensions, fallback: fallback("127.0.0.1:80 gate"), ..service(VIP, reals) }
}

fn pair() -> Virtual {
    patient(&[real("192.0.2.1:80 masq 5"), real("192.0.2.2:80 masq")])
}

impl Room {
    /// So many connections go to a server.
    fn busy(&mut self, server: &str, connections: u32) {
        self.connections.insert(at(server), connections);
    }

    /// Lets time pass; the driver comes when it is asked to, and in the end.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.farm.next_attempt().filter(|&next| next <= end) {
            assert!(next > self.now, "no busy loop");
            self.now = next;
            self.program();
        }
        self.now = end;
        self.program();
    }
}

#[test]
fn a_server_that_fails_keeps_its_connections_until_they_are_gone() {
    let mut room = Room::after_first_round(config(&[pair()]), Table::new(), &[]);
    room.said();
    room.busy("192.0.2.1:80", 3);
    room.kill("192.0.2.1");
    room.round();
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 0), ("192.0.2.2:80", 1)]));
    assert_eq!(room.said(), ["Quiescent real server: 192.0.2.1:80 (198.51.100.1:80) (Weight set to 0)"]);
    assert_eq!(room.farm.status(room.now)[0].reals[0].weight, Some(0));
    room.pass(8 * SECOND);
    assert_eq!(room.servers(VIP).len(), 2);
    room.busy("192.0.2.1:80", 0);
    room.pass(SECOND);
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.2:80", 1)]));
    assert_eq!(room.said(), ["Deleted real server: 192.0.2.1:80 (198.51.100.1:80)"]);
    assert_eq!(room.farm.to_count(), []);
    assert_eq!(room.farm.next_attempt(), None, "nobody is waited for");
}

#[test]
fn its_connections_have_so_long_and_no_longer() {
    let mut room = Room::after_first_round(config(&[pair()]), Table::new(), &[]);
    room.busy("192.0.2.1:80", 1);
    room.kill("192.0.2.1");
    room.round();
    room.pass(29 * SECOND);
    assert_eq!(room.servers(VIP).get("192.0.2.1:80"), Some(&0));
    room.pass(2 * SECOND);
    assert_eq!(room.servers(VIP).get("192.0.2.1:80"), None);
}

#[test]
fn connections_that_cannot_be_counted_are_waited_for_all_the_time() {
    let mut room = Room::after_first_round(config(&[pair()]), Table::new(), &[]);
    room.uncounted = true;
    room.kill("192.0.2.1");
    room.round();
    room.pass(29 * SECOND);
    assert_eq!(room.servers(VIP).get("192.0.2.1:80"), Some(&0));
    room.pass(2 * SECOND);
    assert_eq!(room.servers(VIP).get("192.0.2.1:80"), None);
}

#[test]
fn a_server_that_comes_back_meanwhile_serves_again_with_a_new_time() {
    let mut room = Room::after_first_round(config(&[pair()]), Table::new(), &[]);
    room.busy("192.0.2.1:80", 1);
    room.kill("192.0.2.1");
    room.round();
    room.revive("192.0.2.1");
    room.round();
    assert_eq!(room.servers(VIP)["192.0.2.1:80"], 5);
    room.kill("192.0.2.1");
    room.round();
    room.pass(25 * SECOND);
    assert_eq!(room.servers(VIP).get("192.0.2.1:80"), Some(&0), "the time from before is forgotten");
}

#[test]
fn the_fallback_serves_while_the_last_server_leaves() {
    let mut room = Room::after_first_round(config(&[pair()]), Table::new(), &[]);
    room.busy("192.0.2.1:80", 1);
    room.kill("192.0.2.1");
    room.kill("192.0.2.2");
    room.round();
    let servers = [("127.0.0.1:80", 1), ("192.0.2.1:80", 0), ("192.0.2.2:80", 0)];
    assert_eq!(room.servers(VIP), weights(&servers));
    room.pass(2 * SECOND);
    assert_eq!(room.servers(VIP), weights(&servers[..2]), "the idle one is gone");
}

#[test]
fn maintenance_lets_connections_end() {
    let mut room = Room::after_first_round(config(&[pair()]), Table::new(), &[]);
    room.busy("192.0.2.1:80", 1);
    let files = BTreeSet::from(["192.0.2.1".to_owned()]);
    let notices = room.farm.post(Posted { files, ..Posted::default() });
    room.tell(notices);
    room.program();
    assert_eq!(room.servers(VIP)["192.0.2.1:80"], 0);
    room.busy("192.0.2.1:80", 0);
    room.pass(2 * SECOND);
    assert_eq!(room.servers(VIP).get("192.0.2.1:80"), None);
}

#[test]
fn a_server_that_a_reload_removes_leaves_as_well_and_may_come_back() {
    let mut room = Room::after_first_round(config(&[pair()]), Table::new(), &[]);
    let alone = || patient(&[real("192.0.2.2:80 masq")]);
    room.busy("192.0.2.1:80", 1);
    room.said();
    room.reload(config(&[alone()]));
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 0), ("192.0.2.2:80", 1)]));
    assert_eq!(room.said(), ["Quiescent real server: 192.0.2.1:80 (198.51.100.1:80) (Weight set to 0)"]);
    room.pass(5 * SECOND);
    room.reload(config(&[alone()]));
    assert_eq!(room.servers(VIP).get("192.0.2.1:80"), Some(&0), "another reload is no reason to cut it off");
    room.reload(config(&[pair()]));
    room.turn();
    assert_eq!(room.servers(VIP).get("192.0.2.1:80"), Some(&5));
    room.reload(config(&[alone()]));
    room.said();
    room.busy("192.0.2.1:80", 0);
    room.pass(2 * SECOND);
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.2:80", 1)]));
    assert_eq!(room.said(), ["Purged real server (start): 192.0.2.1:80 (198.51.100.1:80)"]);
}

#[test]
fn a_server_that_leaves_and_becomes_the_fallback_stays() {
    let mut room = Room::after_first_round(config(&[pair()]), Table::new(), &[]);
    let alone = || patient(&[real("192.0.2.2:80 masq")]);
    room.busy("192.0.2.1:80", 1);
    room.reload(config(&[alone()]));
    assert_eq!(room.servers(VIP).get("192.0.2.1:80"), Some(&0));
    room.kill("192.0.2.2");
    room.reload(config(&[Virtual { fallback: fallback("192.0.2.1:80 masq 5"), ..alone() }]));
    room.turn();
    room.busy("192.0.2.1:80", 0);
    room.pass(60 * SECOND);
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.1:80", 5)]));
}

#[test]
fn without_the_line_any_more_nobody_is_waited_for() {
    let mut room = Room::after_first_round(config(&[pair()]), Table::new(), &["192.0.2.2"]);
    room.busy("192.0.2.1:80", 1);
    room.busy("192.0.2.9:80", 1);
    room.kill("192.0.2.1");
    room.round();
    assert_eq!(room.servers(VIP)["192.0.2.1:80"], 0);
    let hasty = Virtual { extensions: Extensions::default(), ..pair() };
    room.reload(config(&[hasty]));
    assert_eq!(room.servers(VIP), weights(&[("127.0.0.1:80", 1)]));
    assert_eq!(room.farm.next_attempt(), None);
}

#[test]
fn somebody_who_deletes_it_by_hand_is_not_undone() {
    let mut room = Room::after_first_round(config(&[pair()]), Table::new(), &[]);
    room.busy("192.0.2.1:80", 1);
    room.kill("192.0.2.1");
    room.round();
    room.table.get_mut(&key(VIP)).expect("there").destinations.remove(&at("192.0.2.1:80"));
    room.pass(2 * SECOND);
    room.round();
    assert_eq!(room.servers(VIP), weights(&[("192.0.2.2:80", 1)]));
    assert_eq!(room.farm.to_count(), []);
}

#[test]
fn a_deletion_that_the_kernel_refuses_is_tried_again() {
    let mut room = Room::after_first_round(config(&[pair()]), Table::new(), &[]);
    let errno = rustix::io::Errno::NOMEM.raw_os_error();
    room.refused.push((Change::DeleteDestination(key(VIP), at("192.0.2.1:80")), errno));
    room.reload(config(&[patient(&[real("192.0.2.2:80 masq")])]));
    room.pass(5 * SECOND);
    assert_eq!(room.servers(VIP).get("192.0.2.1:80"), Some(&0));
    room.refused.clear();
    room.pass(10 * SECOND);
    assert_eq!(room.servers(VIP).get("192.0.2.1:80"), None);
    assert_eq!(room.farm.next_attempt(), None);
}
